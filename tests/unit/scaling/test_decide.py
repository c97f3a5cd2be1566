"""Every trigger and every limit of the specification, on a virtual clock."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.scaling_decision import ScalingState, Signals
from streams.scaling.decide import Decision, decide
from tests.unit.scaling.virtual import SPECIFIED, minutes, policy, state, window

NOW = 20 * 60.0 + 5


def after(windows: list[Signals], before: ScalingState | None = None, now: float = NOW, **changed: Any) -> Decision:
    return decide(windows, before or state(), policy(**changed), now)


FIRES = [
    pytest.param({"cpu": 0.751}, "cpu", id="cpu above 75 % for 5 min"),
    pytest.param({"memory": 0.801}, "memory", id="memory above 80 % for 5 min"),
    pytest.param({"queued": 1001.0}, "queue_length", id="more than 1000 waiting"),
    pytest.param({"wait_s": 30.1}, "wait", id="a wait above 30 s"),
    pytest.param({"expired": 0.011, "answers": 1000}, "expired", id="more than 1 % expired"),
]


@pytest.mark.parametrize(("high", "reason"), FIRES)
def test_a_trigger_adds_one_worker(high: dict[str, float], reason: str) -> None:
    made = after(minutes(11, 20, **high))
    assert (made.desired, made.direction, made.reasons, made.blocked_by) == (3, "scale_out", (reason,), ())
    assert (made.state.target, made.state.changed_at_s) == (3, NOW)


@pytest.mark.parametrize(
    "at_most",
    [{"cpu": 0.75}, {"memory": 0.8}, {"queued": 1000.0}, {"wait_s": 30.0}, {"expired": 0.01, "answers": 1000}],
    ids=str,
)
def test_a_figure_at_its_threshold_does_not_fire(at_most: dict[str, float]) -> None:
    made = after(minutes(11, 20, **at_most), state(3))
    assert (made.desired, made.direction, made.reasons) == (3, "hold", ())


@pytest.mark.parametrize("high", [{"cpu": 0.9}, {"memory": 0.9}], ids=str)
def test_cpu_and_memory_must_be_high_for_the_whole_duration(high: dict[str, float]) -> None:
    assert after(minutes(11, 15) + minutes(16, 20, **high)).direction == "scale_out"
    assert after(minutes(11, 16) + minutes(17, 20, **high)).direction == "hold"
    with_a_dip = [*minutes(11, 17, **high), window(18), *minutes(19, 20, **high)]
    assert after(with_a_dip).direction == "hold"


def test_a_duration_follows_its_setting() -> None:
    short = minutes(11, 18) + minutes(19, 20, cpu=0.9)
    assert after(short, cpu_for_s=120.0).direction == "scale_out"
    assert after(short, cpu_for_s=180.0).direction == "hold"


def test_waiting_fires_with_the_newest_window_alone() -> None:
    assert after([*minutes(11, 19), window(20, queued=5000.0)]).direction == "scale_out"
    assert after([*minutes(11, 18), window(19, queued=5000.0), window(20, queued=900.0)]).direction == "hold"


def test_a_few_expired_requests_are_no_trigger_whatever_their_share() -> None:
    assert after(minutes(11, 20, expired=0.5, answers=18)).reasons == ()
    assert after(minutes(11, 20, expired=0.5, answers=20)).reasons == ("expired",)


def test_all_that_fires_is_named() -> None:
    made = after(minutes(11, 20, cpu=0.9, memory=0.9, queued=2e3, wait_s=40.0, expired=0.2, answers=600))
    assert made.reasons == ("cpu", "memory", "queue_length", "wait", "expired")


def test_the_fleet_grows_to_max_and_not_beyond() -> None:
    high = minutes(11, 20, queued=5000.0, workers=10)
    assert after(high, state(9)).desired == 10
    made = after(high, state(10))
    assert (made.desired, made.direction, made.blocked_by) == (10, "hold", ("at_max",))
    assert after(high, state(9), out_step=4).desired == 10


def test_the_fleet_is_never_larger_than_there_are_partitions() -> None:
    high = minutes(11, 20, queued=5000.0, workers=10)
    few = policy(largest=6)
    assert decide(high, state(6), few, NOW).blocked_by == ("at_max",)
    assert (decide(high, state(8), few, NOW).desired, decide(high, state(8), few, NOW).reasons) == (6, ("above_max",))


def test_the_fleet_shrinks_to_min_and_not_below() -> None:
    idle = minutes(11, 20, workers=3)
    made = after(idle, state(3))
    assert (made.desired, made.direction, made.reasons) == (2, "scale_in", ("calm",))
    made = after(minutes(11, 20), state(2))
    assert (made.desired, made.direction, made.blocked_by) == (2, "hold", ("at_min",))
    assert after(minutes(11, 20, workers=5), state(5), in_step=4).desired == 2


def test_a_target_outside_the_limits_is_brought_inside_at_once() -> None:
    made = after([], state(0, changed_at_s=NOW - 1))
    assert (made.desired, made.direction, made.reasons) == (2, "scale_out", ("below_min",))
    made = after([], state(12, changed_at_s=NOW - 1))
    assert (made.desired, made.direction, made.reasons) == (10, "scale_in", ("above_max",))


@pytest.mark.parametrize("windows", [minutes(11, 20, queued=5e3, workers=3), minutes(11, 20, workers=3)])
def test_a_change_is_followed_by_ten_minutes_of_rest(windows: list[Signals]) -> None:
    resting = after(windows, state(3, changed_at_s=NOW - 599))
    assert (resting.direction, resting.blocked_by) == ("hold", ("cooldown",))
    assert after(windows, state(3, changed_at_s=NOW - 600)).direction != "hold"


def test_each_direction_may_have_a_rest_and_a_step_of_its_own() -> None:
    changed = state(4, changed_at_s=NOW - 120)
    mine = {"out_cooldown_s": 60.0, "in_cooldown_s": 180.0, "out_step": 2, "in_step": 1}
    assert after(minutes(11, 20, queued=5e3, workers=4), changed, **mine).desired == 6
    assert after(minutes(11, 20, workers=4), changed, **mine).blocked_by == ("cooldown",)
    assert after(minutes(11, 20, workers=4), state(4, changed_at_s=NOW - 180), **mine).desired == 3


@pytest.mark.parametrize(
    "high",
    [
        {"cpu": 0.41}, {"memory": 0.65}, {"queued": 101.0}, {"wait_s": 3.1}, {"expired": 0.0011},
    ],
    ids=str,
)  # fmt: skip
def test_one_signal_above_its_lower_band_keeps_the_fleet_as_it_is(high: dict[str, float]) -> None:
    """CPU 41 % of three workers would be 61.5 % of two."""
    assert after(minutes(11, 20, workers=3, **high), state(3)).direction == "hold"
    once = [*minutes(11, 14, workers=3), window(15, workers=3, **high), *minutes(16, 20, workers=3)]
    assert after(once, state(3)).direction == "hold"
    long_ago = [window(10, workers=3, **high), *minutes(11, 20, workers=3)]
    assert after(long_ago, state(3)).direction == "scale_in"


def test_the_lower_bands_reach_up_to_their_settings() -> None:
    low = {"cpu": 0.4, "memory": 0.64, "queued": 100.0, "wait_s": 3.0, "expired": 0.001}
    assert after(minutes(11, 20, workers=3, **low), state(3)).direction == "scale_in"


def test_the_fleet_does_not_shrink_to_fewer_than_its_load_was_seen_to_need() -> None:
    """A worker answered 20 a second when more waited than it could take: two are good for 0.8 * 40."""
    known = state(3, saturated_per_s=20.0, saturated_at_s=NOW - 3600)
    assert after(minutes(11, 20, workers=3, throughput_per_s=33.0), known).direction == "hold"
    assert after(minutes(11, 20, workers=3, throughput_per_s=31.0), known).direction == "scale_in"
    forgotten = replace(known, saturated_at_s=NOW - 6 * 3600)
    assert after(minutes(11, 20, workers=3, throughput_per_s=33.0), forgotten).direction == "scale_in"


def test_what_a_worker_can_do_is_learnt_when_too_much_waits() -> None:
    backlog = window(20, queued=6e3, throughput_per_s=50.0)
    learnt = after([backlog]).state
    assert (learnt.saturated_per_s, learnt.saturated_at_s) == (25.0, NOW)
    assert after([window(20, throughput_per_s=50.0)]).state.saturated_per_s is None
    assert after([replace(backlog, provider_limited=True)]).state.saturated_per_s is None

    def then(newest: Signals, minutes_later: int) -> float | None:
        moved = replace(
            newest, start_s=newest.start_s + 60.0 * minutes_later, end_s=newest.end_s + 60.0 * minutes_later
        )
        return after([moved], learnt, NOW + 60 * minutes_later).state.saturated_per_s

    assert then(window(20, throughput_per_s=60.0), 1) == 30.0  # a worker that did 30 can do 30
    assert then(window(20, throughput_per_s=40.0), 1) == 25.0
    assert then(replace(backlog, throughput_per_s=40.0), 1) == 25.0
    assert then(replace(backlog, throughput_per_s=40.0), 30) == 20.0  # requests have become longer since


def test_a_fleet_that_waits_for_its_provider_does_not_grow() -> None:
    made = after(minutes(11, 20, queued=5000.0, wait_s=50.0, provider_limited=True))
    assert (made.direction, made.blocked_by) == ("hold", ("provider_limited",))
    just_before = [*minutes(11, 17), window(18, provider_limited=True), *minutes(19, 20, queued=5e3)]
    assert after(just_before).blocked_by == ("provider_limited",)


def test_without_data_nothing_changes() -> None:
    for windows in ([], minutes(1, 16, queued=5e3, workers=3), minutes(1, 16, workers=3)):
        made = after(windows, state(3))
        assert (made.direction, made.blocked_by) == ("hold", ("missing_data",))


def test_one_missing_window_does_not_keep_the_fleet_from_growing_and_two_do() -> None:
    high = minutes(16, 20, cpu=0.9)
    assert after([*high[:2], *high[3:]]).direction == "scale_out"
    assert after([high[0], *high[3:]]).direction == "hold"
    assert after([high[0], *high[3:]], missing_windows=2).direction == "scale_out"
    unmeasured = [*high[:2], window(18, cpu=None), *high[3:]]
    assert after(unmeasured).direction == "scale_out"
    assert after([*high[:-1], window(20, cpu=None)]).direction == "hold"


@pytest.mark.parametrize(
    "lack",
    [{"complete": False}, {"cpu": None}, {"memory": None}, {"queued": None}, {"wait_s": None}],
    ids=str,
)
def test_a_lack_in_one_window_keeps_the_fleet_from_shrinking(lack: dict[str, Any]) -> None:
    idle = [*minutes(11, 14, workers=3), window(15, workers=3, **lack), *minutes(16, 20, workers=3)]
    made = after(idle, state(3))
    assert (made.direction, made.reasons, made.blocked_by) == ("hold", ("calm",), ("missing_data",))
    without_it = [each for each in idle if each.end_s != 15 * 60]
    assert after(without_it, state(3)).blocked_by == ("missing_data",)


def test_a_silent_worker_keeps_the_fleet_from_shrinking() -> None:
    idle = [*minutes(11, 19, workers=4), window(20, workers=3)]
    assert after(idle, state(4)).blocked_by == ("missing_data",)


def test_a_step_waits_until_the_last_one_is_carried_out() -> None:
    assert after(minutes(11, 20, queued=5e3, workers=2), state(3)).blocked_by == ("pending",)
    assert after(minutes(11, 20, workers=4), state(3)).blocked_by == ("pending",)
    busy_and_silent = [*minutes(11, 19, queued=5e3, workers=3), window(20, queued=5e3, workers=2)]
    assert after(busy_and_silent, state(3)).direction == "scale_out"


def test_a_step_that_did_not_raise_throughput_is_not_followed_by_another() -> None:
    first = after(minutes(11, 20, queued=5e3, throughput_per_s=100.0))
    assert first.state.to_beat_per_s == pytest.approx(110.0)
    later = NOW + 600
    useless = minutes(21, 30, queued=5e3, workers=3, throughput_per_s=105.0)
    made = after(useless, first.state, later)
    assert (made.direction, made.reasons, made.blocked_by) == ("hold", ("queue_length",), ("ineffective",))
    useful = minutes(21, 30, queued=5e3, workers=3, throughput_per_s=115.0)
    assert after(useful, first.state, later).direction == "scale_out"
    assert after(useless, first.state, later, effect=0.04).direction == "hold"  # what had to be beaten was fixed then
    lenient = after(minutes(11, 20, queued=5e3, throughput_per_s=100.0), effect=0.04)
    assert after(useless, lenient.state, later).direction == "scale_out"


def test_half_of_what_a_step_adds_is_enough_in_a_large_fleet() -> None:
    made = after(minutes(11, 20, queued=5e3, workers=9, throughput_per_s=100.0), state(9))
    assert made.state.to_beat_per_s == pytest.approx(100 * (1 + 1 / 18))


def test_a_verdict_ends_with_a_calm_time_or_after_an_hour() -> None:
    judged = state(3, changed_at_s=NOW - 1200, to_beat_per_s=110.0, fired_at_s=NOW - 1)
    useless = minutes(11, 20, queued=5e3, workers=3, throughput_per_s=100.0)
    assert after(useless, judged).blocked_by == ("ineffective",)
    assert after(minutes(11, 20, workers=3, cpu=0.5), judged).state.to_beat_per_s == 110.0
    rested = replace(judged, fired_at_s=NOW - 600)
    assert after(minutes(11, 20, workers=3, cpu=0.5), rested).state.to_beat_per_s is None
    assert after(useless, replace(judged, changed_at_s=NOW - 3600)).direction == "scale_out"


def test_a_policy_survives_its_record() -> None:
    assert type(SPECIFIED).from_numbers(SPECIFIED.as_numbers()) == SPECIFIED
