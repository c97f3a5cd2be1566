"""Decisions in sentences, recorded windows through the policy, a day on paper, log files within bounds."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.admin.scaling_explain import tell
from ops.admin.scaling_recent import Told, in_short
from ops.processes.supervisor.logs import bound_logs
from ops.simulation import scaling_day as day
from ops.simulation.plot import Line, Panel, line_chart
from ops.simulation.scaling_model import Site
from ops.simulation.scaling_recorded import RecordingError, read_windows, replay
from schemas.scaling_decision import ScalingDecision, ScalingState, Signals
from schemas.scaling_event import ScalingEvent
from streams.scaling.decide import BLOCKS, REASONS, decide
from streams.scaling.record import record_of
from tests.support.scaling import fleet_window
from tests.unit.scaling.virtual import SPECIFIED, minutes, state, window

NOW = 20 * 60.0 + 5


def decided(windows: list[Signals], before: ScalingState | None = None) -> ScalingDecision:
    before = before or state()
    return record_of(decide(windows, before, SPECIFIED, NOW), before, windows, SPECIFIED, NOW, 7, "a")


def sentence(windows: list[Signals], before: ScalingState | None = None) -> str:
    return tell(decided(windows, before)).partition("  ")[2]


def test_a_step_says_why() -> None:
    assert sentence(minutes(11, 20, cpu=0.91)) == (
        "From 2 to 3 workers, because CPU use is 91% and was above 75% for 5 min."
    )
    both = minutes(11, 20, queued=1400.0, wait_s=31.0)
    assert sentence(both) == (
        "From 2 to 3 workers, because 1,400 requests wait (more than 1,000) and a request has waited for 31.0 s (more than 30 s)."
    )
    assert sentence(minutes(11, 20, workers=3), state(3)) == (
        "From 3 to 2 workers, because everything was low for 10 min."
    )


def test_what_was_held_back_says_what_asked_and_what_held() -> None:
    busy = minutes(11, 20, queued=1400.0, workers=3)
    assert sentence(busy, state(3, changed_at_s=NOW - 100)) == (
        "Still 3 workers: 1,400 requests wait (more than 1,000), which asks for more, but it rests 600 s after a change, and the "
        "last one was 100 s ago."
    )
    assert "calls wait for a provider's limit" in sentence(minutes(11, 20, queued=1400.0, provider_limited=True))
    useless = state(3, changed_at_s=NOW - 700, to_beat_per_s=110.0, fired_at_s=NOW - 60)
    assert "did not raise the throughput to 110 answers a second" in sentence(busy, useless)
    assert "measurements are missing" in sentence([])
    assert sentence(minutes(11, 20, cpu=0.7)) == "Still 2 workers: CPU 70%, memory 20%, 0 waiting, 10 answers a second."


def test_one_worker_is_one_worker() -> None:
    windows, policy = minutes(11, 20, cpu=0.7), replace(SPECIFIED, smallest=1)
    alone = record_of(decide(windows, state(1), policy, NOW), state(1), windows, policy, NOW, 7, "a")
    assert "Still 1 worker: CPU 70%" in tell(alone)


def test_a_fleet_that_does_not_shrink_says_what_was_not_low() -> None:
    busy = minutes(11, 20, cpu=0.7, workers=3)
    assert sentence(busy, state(3)).endswith("10 answers a second; not 2, since CPU 70% (above 40%).")
    earlier = [*minutes(11, 19, cpu=0.7, workers=3), *minutes(20, 20, cpu=0.03, workers=3)]
    assert sentence(earlier, state(3)).endswith("; not 2, since not all was low in the last 10 min.")


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_every_reason_and_every_block_has_words(reason: str, block: str) -> None:
    """Also in a record that has no more than the fields that must be there."""
    bare: dict[str, Any] = {
        "epoch": 1, "at": datetime.now(UTC), "workers_now": 2, "workers_wanted": 2, "decider_id": "a", "action": "hold",
    }  # fmt: skip
    told = tell(ScalingDecision(**bare, reasons=(reason,), blocked_by=(block,)))
    assert "_" not in told
    assert not {"cooldown", "pending", "ineffective", "calm", "cpu"} & set(told.replace(",", " ").split())


def test_what_came_of_it_is_told_with_it() -> None:
    made = decided(minutes(11, 20, cpu=0.91))
    event = ScalingEvent(
        epoch=7,
        at=made.at,
        outcome="failed",
        workers_before=2,
        workers_after=2,
        realizer="kubernetes",
        took_s=1.0,
        message="no",
    )
    assert tell(made, [event]).endswith("NOT carried out by kubernetes: no.")
    done = event.model_copy(update={"outcome": "applied", "took_s": 3.84})
    assert tell(made, [done]).endswith("Carried out by kubernetes in 3.8 s.")


def test_decisions_that_say_the_same_are_told_once() -> None:
    quiet, busy = decided(minutes(11, 20, cpu=0.5)), decided(minutes(11, 20, cpu=0.91))
    short = in_short([Told(quiet, ()), Told(quiet, ()), Told(busy, ()), Told(quiet, ())])
    assert [(each.decision, each.alike) for each in short] == [(quiet, 2), (busy, 1), (quiet, 1)]


def test_recorded_windows_are_read_as_tail_prints_them_and_bare_and_decided_on() -> None:
    bare = [fleet_window(60.0 * minute, 60.0, workers=2, cpu=0.9).decode() for minute in range(1, 11)]
    record = orjson.dumps({"topic": "metrics.windows", "offset": 3, "value": orjson.loads(bare[-1])}).decode()
    of_a_worker = bare[0].replace('"fleet"', '"worker-1"')
    windows = read_windows([*reversed(bare[:-1]), record, "", of_a_worker])
    assert [each.end_s for each in windows] == [60.0 * minute for minute in range(1, 11)]
    found = list(replay(windows, SPECIFIED))
    steps = [each.at.timestamp() for each in found if each.action == "scale_out"]
    assert steps == [240.0]  # four of five windows: one may be missing
    assert {each.blocked_by for each in found[4:]} == {("cooldown", "ineffective")}


def test_a_line_that_is_no_window_is_named() -> None:
    with pytest.raises(RecordingError, match="line 2 is no metric window"):
        read_windows(["", '{"a": 1}'])
    with pytest.raises(RecordingError, match="line 1 is no JSON"):
        read_windows(["windows"])


def test_a_day_of_a_real_service_takes_seconds_and_keeps_what_waits_short() -> None:
    curve = day.read_curve(day.SHIPPED_DAY)
    site = Site(per_worker_per_s=6.0)
    began = time.process_time()
    run = day.simulate(curve, site, SPECIFIED, curve.lasts_s)
    assert time.process_time() - began < 10
    total = day.summary(run, SPECIFIED)
    assert total.largest <= 10
    assert total.expired_share < 0.001
    assert total.worker_hours < 0.6 * total.worker_hours_at_peak_size
    assert day.picture(run, site, "A day", "").count("<polyline") == 5


def test_a_curve_is_straight_between_its_points(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("t_seconds,requests_per_second\n0,10\n100,30\n")
    curve = day.read_curve(path)
    assert [curve(at) for at in (-5.0, 0.0, 25.0, 100.0, 1e6)] == [10.0, 10.0, 15.0, 30.0, 30.0]
    path.write_text("t,rate\n0,10\n")
    with pytest.raises(ValueError, match="t_seconds and requests_per_second"):
        day.read_curve(path)


def test_a_chart_keeps_text_apart_from_markup_and_points_inside_its_panels() -> None:
    chart = line_chart("a < b", [Panel("p & q", [Line("x", [(0.0, 5.0), (10.0, -3.0)])])], x_ticks=[0.0, 10.0])
    assert "a &lt; b" in chart
    assert "p &amp; q" in chart
    assert chart.count("<polyline") == 1


def test_log_files_stay_within_their_bounds(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"w{number}.log").write_text("x" * (100 if number == 5 else 10))
    in_use = {tmp_path / "w5.log"}
    bound_logs(tmp_path, in_use, most_bytes=50, most_files=2)
    assert (tmp_path / "w5.log").stat().st_size == 0
    assert (tmp_path / "w5.log.1").stat().st_size == 100
    bound_logs(tmp_path, in_use, most_bytes=50, most_files=2)
    assert {path.name for path in tmp_path.iterdir()} == {"w5.log", "w5.log.1", "w3.log", "w4.log"}


def test_a_record_stays_small_however_many_windows_a_duration_has() -> None:
    made = decided(minutes(1, 2000, cpu=0.123456789, throughput_per_s=1234.56789))
    assert len(made.windows) == 240
    assert made.windows[-1].end_s == 2000 * 60
    assert len(made.to_json()) < 64 * 1024


def test_the_newest_window_of_a_record_is_what_it_shows() -> None:
    made = decided([*minutes(11, 19), window(20, queued=1234.0)])
    assert made.observed["queued"] == 1234.0
