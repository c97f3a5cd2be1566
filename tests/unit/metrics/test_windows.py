"""Windows are what their samples say, once, whatever the order, the repetitions and the restarts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.metric_sample import BacklogSample, MetricSample
from schemas.metric_window import MetricWindow
from streams.metrics.period import moment
from streams.windows import windows as windows_module
from streams.windows.windows import Windows
from tests.support.fixtures import FULL
from tests.unit.metrics.raw_samples import GRACE_MS, PERIOD, Raw, Scope, as_sent, closer, expected, fleet

Log = Sequence[MetricSample | BacklogSample]
FAR_MS = 2**50
"""A broker's clock that no sample is ahead of."""


def run(log: Log, finished: set[int] | None = None, until: int | None = None) -> list[MetricWindow]:
    """Read the log as a process does that starts with these offsets finished; it dies before the record `until`."""
    finished = set() if finished is None else finished
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    made: list[MetricWindow] = []
    for offset, sample in enumerate(log[:until]):
        if offset in finished:
            continue
        for closed in windows.add(sample, offset, FAR_MS):
            made += closed.windows
            finished.update(closed.receipts)
    return made


def by_scope(windows: Sequence[MetricWindow]) -> dict[Scope, MetricWindow]:
    """Each window once; two of a scope and time must be equal."""
    found: dict[Scope, MetricWindow] = {}
    for window in windows:
        scope = window.scope, round(window.end.timestamp() * 1000)
        assert found.setdefault(scope, window).to_json() == window.to_json()
    return found


INTERVALS = 500 if FULL else 120


def hold(raws: Sequence[Raw], windows: Sequence[MetricWindow]) -> None:
    found, wanted = by_scope(windows), expected(raws)
    assert found.keys() == wanted.keys()
    for scope, window in found.items():
        wanted[scope].hold(window)


def test_windows_of_thousands_of_shuffled_and_repeated_samples_with_a_restart_are_the_references() -> None:
    rng = random.Random(7)
    raws = fleet(rng, workers=20, intervals=INTERVALS, start_ms=0)
    log: Log = [*as_sent(rng, raws, duplicates=0.1), closer(10**9)]
    assert len(raws) == 20 * INTERVALS
    assert len(log) > 1.09 * len(raws)
    finished: set[int] = set()
    before = run(log, finished, until=len(log) // 2)
    hold(raws, before + run(log, finished))


@settings(max_examples=40)
@given(st.integers(), st.lists(st.integers(0, 200), max_size=4), st.booleans())
def test_restarts_change_nothing(seed: int, deaths: list[int], commits_are_lost: bool) -> None:
    rng = random.Random(seed)
    raws = fleet(rng, workers=3, intervals=rng.randint(1, 25), start_ms=0)
    log: Log = [*as_sent(rng, raws, duplicates=0.3), closer(10_000_000)]
    without = by_scope(run(log))
    finished: set[int] = set()
    made: list[MetricWindow] = []
    for death in sorted(deaths):
        kept = set(finished)
        made += run(log, finished, until=death)
        if commits_are_lost:
            finished = kept
    made += run(log, finished)
    assert by_scope(made) == without


def test_a_window_takes_its_end_and_not_its_start() -> None:
    sample = Raw("w", 60_000, {}, 1).sample()
    (window, fleet_window) = run((sample, closer(70_000)))
    assert (window.start, window.end) == (moment(0), moment(60_000))
    assert (window.scope, fleet_window.scope) == ("w", "fleet")
    assert (window.samples, window.samples_expected) == (1, 6)


def test_a_window_waits_for_the_grace_period_and_no_longer() -> None:
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    assert not windows.add(Raw("w", 60_000, {}, 1).sample(), 0, FAR_MS)
    assert not windows.add(closer(69_999), 1, FAR_MS)
    assert not windows.add(Raw("v", 50_000, {}, 1).sample(), 2, FAR_MS)
    (closed,) = windows.add(closer(70_000), 3, FAR_MS)
    assert [window.scope for window in closed.windows] == ["v", "w", "fleet"]
    assert closed.receipts == [0, 2]


def test_what_comes_too_late_is_dropped_counted_and_finished() -> None:
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    windows.add(closer(70_000), 0, FAR_MS)
    (closed,) = windows.add(Raw("w", 60_000, {}, 1).sample(), 1, FAR_MS)
    assert (list(closed.windows), list(closed.receipts)) == ([], [1])
    assert windows.dropped == {"duplicate": 0, "late": 1, "ahead": 0, "surplus": 0}


def test_a_clock_that_is_ahead_closes_no_window() -> None:
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    windows.add(Raw("w", 60_000, {}, 1).sample(), 0, 60_050)
    (closed,) = windows.add(Raw("fast", 3_600_000, {}, 1).sample(), 1, 60_060)
    assert (list(closed.windows), windows.dropped["ahead"]) == ([], 1)
    assert not windows.add(Raw("v", 60_000, {}, 1).sample(), 2, 60_070)


def test_a_flood_of_samples_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "MOST_SAMPLES", 3)
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    finished = [
        receipt
        for offset in range(9)
        for closed in windows.add(Raw(f"w{offset % 5}", 60_000, {}, 1).sample(), offset, FAR_MS)
        for receipt in closed.receipts
    ]
    assert windows.dropped == {"duplicate": 3, "late": 0, "ahead": 0, "surplus": 3}
    assert finished == [3, 4, 5, 6, 7, 8]


def test_a_minute_without_workers_still_has_a_window_of_the_backlog() -> None:
    (window,) = run([closer(60_000), closer(70_000)])
    assert (window.scope, window.samples, window.workers) == ("fleet", 0, 0)
    assert window.application.lag == {"high": 0, "normal": 0, "low": 0}
    assert window.application.queue_length is None
