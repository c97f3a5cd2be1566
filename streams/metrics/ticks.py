"""Moments at multiples of an interval on the clock: everybody's samples are of the same ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable


async def ticks(
    interval_ms: int, now: Callable[[], float], sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> AsyncIterator[int]:
    """Unix milliseconds of each moment when it has come; ones that pass while the taker is busy are left out.

    A clock that is set back by more than an interval is followed, rather than waited for.
    """
    while True:
        at_ms = (int(now() * 1000) // interval_ms + 1) * interval_ms
        while (left_ms := at_ms - now() * 1000) > 0:  # timers are early now and then, by less than a millisecond
            if left_ms > 2 * interval_ms:
                at_ms = (int(now() * 1000) // interval_ms + 1) * interval_ms
                continue
            await sleep(min(left_ms, interval_ms) / 1000)
        yield at_ms
