"""Samples are of multiples of the interval on the clock, whatever the timers do."""

from __future__ import annotations

from streams.metrics.ticks import ticks


class Clock:
    """Sleeps a given time more, or less, than it is asked to."""

    def __init__(self, at_s: float, off_s: float) -> None:
        self.at_s = at_s
        self.off_s = off_s

    def now(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += max(0.0001, seconds + self.off_s)


async def taken(clock: Clock, count: int, busy_s: float = 0.0) -> list[int]:
    found: list[int] = []
    async for at_ms in ticks(10_000, clock.now, clock.sleep):
        assert clock.now() * 1000 >= at_ms
        found.append(at_ms)
        clock.at_s += busy_s
        if len(found) == count:
            break
    return found


async def test_every_multiple_comes_once_when_it_has_come() -> None:
    for off_s in (0.0, 0.02, -0.0005):
        assert await taken(Clock(1003.7, off_s), 3) == [1_010_000, 1_020_000, 1_030_000]


async def test_moments_that_pass_meanwhile_are_left_out() -> None:
    assert await taken(Clock(1003.7, 0.0), 3, busy_s=25.0) == [1_010_000, 1_040_000, 1_070_000]


async def test_a_clock_that_is_set_back_is_followed() -> None:
    clock = Clock(1003.7, 0.0)
    found: list[int] = []
    async for at_ms in ticks(10_000, clock.now, clock.sleep):
        found.append(at_ms)
        if len(found) == 1:
            clock.at_s -= 500
        if len(found) == 2:
            break
    assert found == [1_010_000, 520_000]
