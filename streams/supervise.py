"""Background work with an owner: a fault in it is logged with its stack and counted, and it begins again or is settled.

A loop that dies in silence is the worst fault of a long-running process: requests past their time are answered no more, memory is
held for ever, and every check says that all is well. So whatever runs beside the requests runs here:

* `supervised`: a loop. It begins again after a pause.
* `Jobs`: pieces of work that end by themselves. Their owner says how one that failed is settled.

A fault is also a cancellation that nobody asked for: a library's cancelled future is raised in whoever awaits it, and would end a
loop as if it had been told to stop. What is left, callbacks and threads, ends the process (streams/unhandled.py). A loop whose
fault is to end the process is awaited by it (streams/control.py, ops/processes/worker.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from math import inf
from typing import Any, Final, Generic, TypeVar

import structlog

from streams.backoff import equal_jitter_s, exponential_s
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.supervise")

T = TypeVar("T", bound=Hashable)

FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_WELL_AFTER_S: Final = 60.0
"""A loop that ran for so long was well: its next fault is a first one."""

_ASIDE: Final = frozenset(
    {
        "samples",
        "worker_gauges",
        "cache_upkeep",
        "cache_reader",
        "cache_publisher",
        "keys",
        "front_tls",
        "cancels",
        "front_cancels",
        "settings",
        "admin_outcomes",
        "redrive",
        "spans",
        "cost_windows",
    }
)
"""Loops without which requests are answered all the same."""

_running: set[asyncio.Task[Any]] = set()
"""The event loop holds its tasks weakly: one that waits for what only it refers to would be collected in silence."""
_ailing: dict[str, float] = {}
"""By loop that has failed: the monotonic time from which on it is taken for well again."""


def supervised(
    name: str, work: Callable[[], Awaitable[None]], on_fault: Callable[[], None] = lambda: None
) -> asyncio.Task[None]:
    """Run `work` until it returns or is cancelled; begin it again after a fault. `name` is one of metrics.LOOPS.

    `on_fault` is called after each fault, before the pause: what the loop holds for others is let go there. Its owner keeps the
    task, and ends it with `end`.
    """
    return _held(asyncio.create_task(keep(name, work, on_fault), name=name))


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel loops and wait for them."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def keep(name: str, work: Callable[[], Awaitable[None]], on_fault: Callable[[], None] = lambda: None) -> None:
    """As `supervised`, in the task of whoever awaits it."""
    loop, faults = asyncio.get_running_loop(), 0
    while True:
        began = loop.time()
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            if is_told_to_stop(error):
                raise
            faults = 1 if loop.time() > began + _WELL_AFTER_S else faults + 1
            pause_s = equal_jitter_s(exponential_s(faults, FIRST_PAUSE_S, _LONGEST_PAUSE_S))
            _ailing[name] = inf
            log.exception("a background loop failed, it begins again", loop=name, faults=faults, in_s=round(pause_s, 3))
            metrics.LOOP_FAULTS.labels(name).inc()
            settle(name, on_fault)
            try:
                await asyncio.sleep(pause_s)
            finally:  # also where its owner ends it meanwhile
                _ailing[name] = time.monotonic() + pause_s
        else:
            return


def is_told_to_stop(error: BaseException) -> bool:
    """Whether this is the cancellation of the current task, and not one that something which it awaited came to."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def fault(name: str, error: BaseException, event: str, **fields: Any) -> None:
    """Log a fault with its stack, and count it, for whoever goes on by itself."""
    log.error(event, loop=name, exc_info=error, **fields)
    metrics.LOOP_FAULTS.labels(name).inc()


def settle(name: str, on_fault: Callable[[], None]) -> None:
    """Let go of what failed work holds; raises nothing."""
    try:
        on_fault()
    except Exception:
        log.exception("what a failed loop held could not be let go", loop=name)


def ailing() -> list[str]:
    """Loops that requests need and that have failed: until they have run for as long as they paused."""
    now = time.monotonic()
    return sorted(name for name, well_at in _ailing.items() if well_at > now and name not in _ASIDE)


class Loops(Generic[T]):
    """Loops of one owner, one for each thing of a set that changes. `name` is one of metrics.LOOPS."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._of: dict[T, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def keep(self, wanted: Mapping[T, Callable[[], Awaitable[None]]]) -> None:
        """Run these loops and no others: those that run go on, whatever is given for them."""
        for each in self._of.keys() - wanted.keys():
            task = self._of.pop(each)
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()
        for each, work in wanted.items():
            if each not in self._of:
                self._of[each] = supervised(self._name, work)

    async def end(self) -> None:
        """Cancel them and wait for them."""
        await end([*self._of.values(), *self._ending])


class Jobs:
    """Pieces of work of one owner, each held until it has ended. `name` is one of metrics.LOOPS."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], on_fault: Callable[[], None] = lambda: None) -> asyncio.Task[None]:
        """Run it; after a fault, settle it by `on_fault`. The task raises nothing but its own cancellation."""
        task = _held(asyncio.create_task(self._run(work, on_fault), name=self._name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # ended before its first step, it would be told as never awaited
        return task

    async def end(self) -> None:
        """Cancel what runs and wait for it; what it was for stays undone."""
        await end(self._tasks)

    async def _run(self, work: Coroutine[Any, Any, None], on_fault: Callable[[], None]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            if is_told_to_stop(error):
                raise
            fault(self._name, error, "a piece of background work failed")
            settle(self._name, on_fault)


def _held(task: asyncio.Task[None]) -> asyncio.Task[None]:
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task
