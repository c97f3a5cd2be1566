"""When dispatch looks at its queues again."""

from __future__ import annotations

import asyncio
import time

from streams.flow.wake import Wake
from tests.support.requests import until


async def test_many_who_ask_in_one_turn_wake_it_once() -> None:
    looks: list[int] = []
    wake = Wake(lambda: looks.append(1), time.monotonic)
    for seconds in (3600.0, 0.0, 0.0, 60.0):
        wake.after(seconds)
    await asyncio.sleep(0.05)
    assert looks == [1]


async def test_an_earlier_moment_takes_the_place_of_a_later_one_and_it_can_be_asked_for_again() -> None:
    looks: list[int] = []
    wake = Wake(lambda: looks.append(1), time.monotonic)
    wake.after(3600.0)
    wake.after(0.001)
    await until(lambda: len(looks) == 1)
    wake.after(0.001)
    await until(lambda: len(looks) == 2)


async def test_what_was_stopped_wakes_nobody() -> None:
    looks: list[int] = []
    wake = Wake(lambda: looks.append(1), time.monotonic)
    wake.after(0.01)
    wake.stop()
    wake.after(0.0)
    await asyncio.sleep(0.03)
    assert looks == []
