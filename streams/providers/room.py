"""Capacity notifications: who waits for room at the providers, and is notified when there may be some.

Two kinds wait: requests in their queues, by route (flow is notified), and calls that failed and want another attempt. These have
waited longest, so they are offered the room first, the higher classes before the lower ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from streams.limits import Route
from topics.names import Priority

T = TypeVar("T")

_ORDER: Final[dict[Priority, int]] = {"high": 0, "normal": 1, "low": 2}


@dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    rank: tuple[int, int]
    attempt: Callable[[], T | None]
    given: asyncio.Future[T]


@dataclass(slots=True)
class Room(Generic[T]):
    """`attempt` functions return what they took, or None if there was nothing for them."""

    dropped: Callable[[T], None]
    """Takes back what was given to a waiter that was cancelled in the same moment."""
    tell: Callable[[Route], None] = lambda _: None
    _busy: set[Route] = field(default_factory=set)
    _waiters: list[_Waiter[T]] = field(default_factory=list)
    _number: int = 0
    _offering: bool = False

    def busy(self, route: Route) -> None:
        """Requests of the route wait."""
        self._busy.add(route)

    def open(self) -> None:
        """There may be room. May be called from anywhere, also from inside an attempt."""
        if self._offering:
            return
        self._offering = True
        try:
            for waiter in list(self._waiters):
                if not waiter.given.done() and (taken := waiter.attempt()) is not None:
                    self._waiters.remove(waiter)
                    waiter.given.set_result(taken)
        finally:
            self._offering = False
        busy, self._busy = self._busy, set()
        for route in busy:
            self.tell(route)

    async def wait(self, priority: Priority, attempt: Callable[[], T | None], timeout_s: float) -> T | None:
        """What `attempt` took, now or when there was room; None after `timeout_s` seconds."""
        if (taken := attempt()) is not None:
            return taken
        self._number += 1
        given: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiter = _Waiter((_ORDER[priority], self._number), attempt, given)
        self._waiters.append(waiter)
        self._waiters.sort(key=lambda each: each.rank)
        try:
            await asyncio.wait([given], timeout=timeout_s)
        except BaseException:
            if given.done() and not given.cancelled():
                self.dropped(given.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return given.result() if given.done() else None
