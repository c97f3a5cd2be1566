"""Background loops with an owner: a fault in one is logged with its stack and counted, and the loop begins again after a pause.

A loop that dies in silence is the worst fault of a long-running process: requests past their time are answered no more, memory is
held for ever, and every check says that all is well. So whatever runs beside the requests runs here. A loop whose fault is to end
the process is awaited by it instead (streams/control.py, ops/worker_process.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from streams.backoff import exponential_s
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.supervise")

FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_WELL_AFTER_S: Final = 60.0
"""A loop that ran for so long was well: its next fault is a first one."""


def supervised(
    name: str, work: Callable[[], Awaitable[None]], on_fault: Callable[[], None] = lambda: None
) -> asyncio.Task[None]:
    """Run `work` until it returns or is cancelled; begin it again after a fault. `name` is one of a small fixed set.

    `on_fault` is called after each fault, before the pause: what the loop holds for others is let go there. Its owner keeps the
    task, and ends it with `end`.
    """
    return asyncio.create_task(_run(name, work, on_fault), name=name)


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel loops and wait for them."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _run(name: str, work: Callable[[], Awaitable[None]], on_fault: Callable[[], None]) -> None:
    loop, faults = asyncio.get_running_loop(), 0
    while True:
        began = loop.time()
        try:
            await work()
        except Exception:
            faults = 1 if loop.time() > began + _WELL_AFTER_S else faults + 1
            pause_s = exponential_s(faults, FIRST_PAUSE_S, _LONGEST_PAUSE_S)
            log.exception("a background loop failed, it begins again", loop=name, faults=faults, in_s=pause_s)
            metrics.LOOP_FAULTS.labels(name).inc()
            try:
                on_fault()
            except Exception:
                log.exception("what a failed loop held could not be let go", loop=name)
            await asyncio.sleep(pause_s)
        else:
            return
