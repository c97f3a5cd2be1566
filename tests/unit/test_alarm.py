"""One timer for many waits, by a clock that jumps to the next of them."""

from __future__ import annotations

import asyncio

from ops.simulation.virtual_loop import run_virtually
from streams.alarm import Alarm


def rings_at(*waits: tuple[float, float | None]) -> list[float]:
    """When it rings, in seconds. A wait: when it is set, and for when; None: it is cleared then."""

    async def all_waits() -> list[float]:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        began = loop.time()
        alarm = Alarm(lambda: rung.append(round(loop.time() - began, 3)))
        for at_s, due_s in waits:
            await asyncio.sleep(began + at_s - loop.time())
            if due_s is None:
                alarm.clear()
            else:
                alarm.set(began + due_s)
        await asyncio.sleep(60)
        alarm.close()
        return rung

    return run_virtually(all_waits())


def test_it_rings_once_when_the_last_wait_is_over() -> None:
    assert rings_at((0.0, 0.1)) == [0.1]
    assert rings_at((0.0, 0.1), (0.0, 0.3)) == [0.3]


def test_a_wait_that_has_ended_rings_no_more() -> None:
    assert rings_at((0.0, 0.1), (0.05, None)) == []


def test_a_wait_that_is_due_sooner_than_the_one_before_rings_sooner() -> None:
    assert rings_at((0.0, 5.0), (0.0, 0.1)) == [0.1]


def test_a_wait_that_began_while_nobody_waited_rings_at_its_time() -> None:
    assert rings_at((0.0, 0.1), (0.05, None), (0.15, 0.3)) == [0.3]
    assert rings_at((0.0, 0.1), (0.15, 0.3)) == [0.1, 0.3]


def test_closed_it_keeps_no_timer() -> None:
    async def closed() -> list[bool]:
        rung: list[bool] = []
        alarm = Alarm(lambda: rung.append(True))
        alarm.set(asyncio.get_running_loop().time() + 0.02)
        alarm.close()
        await asyncio.sleep(60)
        return rung

    assert run_virtually(closed()) == []
