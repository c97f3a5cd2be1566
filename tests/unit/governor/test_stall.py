"""A loop that stands still is told once, with the stack of the thread it runs in."""

import time

import pytest
import structlog

from streams.governor.stall import StallDetector, StallWatch
from streams.metrics import definitions as metrics


def test_a_stall_is_told_once_and_its_end_too() -> None:
    detector = StallDetector(1.0, looked_at=0.0)
    looks = [(0.0, 0.5), (0.0, 0.9), (0.0, 1.2), (0.0, 1.5), (0.0, 2.0), (2.1, 2.2), (2.1, 2.4), (2.1, 3.2), (3.3, 3.4)]
    found = [detector.look(beat_at, now) for beat_at, now in looks]
    assert found == [None, None, "stuck", None, None, "again", None, "stuck", "again"]


def test_a_loop_that_beats_in_time_is_never_stuck() -> None:
    detector = StallDetector(1.0, looked_at=0.0)
    assert not any(detector.look(beat_at=n * 0.25 - 0.9, now=n * 0.25) for n in range(1, 100))


def test_a_process_that_was_stopped_is_told_apart_from_a_stuck_loop() -> None:
    detector = StallDetector(1.0, looked_at=0.0)
    assert detector.look(0.2, 0.25) is None
    assert detector.look(0.2, 9.0) == "stood still"
    assert detector.look(9.1, 9.2) is None


def hang_here(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


async def test_a_hanging_call_is_reported_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = metrics.LOOP_STALLS._value.get()
    with structlog.testing.capture_logs() as logs:
        watch = StallWatch(after_s=0.2)
        watch.start()
        hang_here(0.6)
        watch.beat()
        hang_here(0.15)
        watch.stop()
    stuck = [line for line in logs if line["event"] == "the event loop is stuck"]
    assert len(stuck) == 1
    assert "hang_here" in stuck[0]["stack"]
    assert [line["event"] for line in logs if "again" in line["event"]] == ["the event loop turns again"]
    assert metrics.LOOP_STALLS._value.get() == before + 1
