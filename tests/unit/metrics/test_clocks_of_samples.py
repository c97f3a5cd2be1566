"""Samples whose clock cannot be right neither make windows of their own time nor take those of the others."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.metric_sample import MetricSample
from schemas.metric_window import MetricWindow
from streams.windows.merge import FLEET
from streams.windows.windows import Windows
from tests.unit.metrics.raw_samples import GRACE_MS, PERIOD, Raw

BEGAN_MS = 1_800_000_000_000
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def sample(worker_id: str, at_ms: int) -> MetricSample:
    return Raw(worker_id, at_ms, {}, 0).sample()


def windows_of(log: list[tuple[int, MetricSample]]) -> tuple[list[MetricWindow], Windows[int]]:
    """Of samples with the broker's stamps."""
    windows: Windows[int] = Windows(PERIOD, GRACE_MS)
    made: list[MetricWindow] = []
    for offset, (stamped_ms, each) in enumerate(log):
        for closed in windows.add(each, offset, stamped_ms):
            made += closed.windows
    return made, windows


def minutes(count: int) -> list[tuple[int, MetricSample]]:
    ticks = range(BEGAN_MS + 10_000, BEGAN_MS + count * 60_000 + 10_001, 10_000)
    return [(at_ms + 30, sample("good", at_ms)) for at_ms in [*ticks, ticks[-1] + 10_000]]


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(LAST, id="the year 9999"),
        pytest.param(datetime(2099, 1, 1, tzinfo=UTC), id="KIP-1334: one record of 2099, and all others come too late"),
        pytest.param(datetime.fromtimestamp(BEGAN_MS / 1000 + 3_600, UTC), id="an hour ahead"),
    ],
)
def test_a_sample_of_the_future_closes_no_window(at: datetime) -> None:
    """Kafka Streams' time is the largest that was read (confluentinc/ksql#4579): there one such record ends all windows."""
    log = minutes(3)
    log.insert(2, (log[2][0], sample("bad", BEGAN_MS).model_copy(update={"at": at})))
    made, windows = windows_of(log)
    assert [window.samples for window in made if window.scope == FLEET] == [6, 6, 6]
    assert {window.scope for window in made} == {FLEET, "good"}
    assert windows.dropped == {"duplicate": 0, "late": 0, "ahead": 1, "surplus": 0}


@given(st.lists(st.tuples(st.integers(0, 18), st.integers(-(10**14), 10**14)), max_size=12))
def test_no_window_is_lost_and_none_is_of_the_future_whatever_clocks_others_have(wrong: list[tuple[int, int]]) -> None:
    log = minutes(3)
    latest_ms = int(LAST.timestamp() * 1000)
    for place, off_ms in wrong:
        at_ms = min(latest_ms, max(1, BEGAN_MS + off_ms))
        log.insert(place, (log[place][0], sample("bad", at_ms)))
    made, _ = windows_of(log)
    good = [window for window in made if window.scope == "good"]
    assert [window.samples for window in good] == [6, 6, 6]
    ends = [window.end.timestamp() * 1000 for window in made]
    assert max(ends) <= ceil(log[-1][0] / 60_000) * 60_000
