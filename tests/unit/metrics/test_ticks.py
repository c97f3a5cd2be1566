"""Samples are of multiples of the interval on the clock, whatever the timers do."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


class SteppedClock(Clock):
    """Is set to another time while somebody sleeps; `running_s` is the time that really passes."""

    def __init__(self, at_s: float, steps: dict[int, float]) -> None:
        super().__init__(at_s, 0.0)
        self.running_s = 0.0
        self._steps = steps
        self._sleeps = 0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.running_s += max(0.0001, seconds)
        self._sleeps += 1
        self.at_s += self._steps.get(self._sleeps, 0.0)


@pytest.mark.parametrize(
    "step_s",
    [
        pytest.param(
            -3_600.0, id="an hour back: agronholm/apscheduler#351, jobs stand until the time is reached again"
        ),
        pytest.param(-12 * 3_600.0, id="half a day back: dbader/schedule#323"),
        pytest.param(3_600.0, id="an hour forward"),
        pytest.param(-11.0, id="eleven seconds back: ProfessionalWiki/MediaWiki-MCP-Server#557, a virtual machine"),
    ],
)
async def test_a_clock_that_is_set_does_not_stop_the_ticks(step_s: float) -> None:
    clock = SteppedClock(7_200_003.7, {2: step_s})
    await taken(clock, 4)
    assert clock.running_s <= 6 * 10


@given(st.dictionaries(st.integers(1, 12), st.floats(-90_000, 90_000), max_size=4))
def test_between_two_ticks_never_pass_more_than_three_intervals_however_the_clock_is_set(
    steps: dict[int, float],
) -> None:
    clock = SteppedClock(1_000_000.0, steps)

    async def ticked() -> None:
        before = 0.0
        count = 0
        async for _ in ticks(10_000, clock.now, clock.sleep):
            assert clock.running_s - before <= 10 * (3 + len(steps))
            before, count = clock.running_s, count + 1
            if count == 8:
                return

    asyncio.run(ticked())
