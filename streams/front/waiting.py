"""Who waits for which answer. Pure but for the futures that it resolves.

An answer counts only where it names the record that was published (`ce_id`: topic, partition and offset), which nobody can know
before the broker has it: whoever else may write to the fronts' topic cannot answer for the fleet by a request's id alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streams.front.exchange import Arrived, Inbox

_MOST_EARLY_DELTAS: Final = 64
_MOST_EARLY: Final = 4
"""Answers to one request that are kept until it is known which of them names its record."""


@dataclass(slots=True)
class _Waiter:
    answer: asyncio.Future[bytes]
    event_id: bytes | None = None
    early: list[tuple[bytes, bytes]] = field(default_factory=list)
    inbox: Inbox | None = None
    """Where its deltas go; None: it wants none."""
    early_deltas: list[tuple[bytes, Arrived]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    """When its time is over."""


class Waiting:
    """The answers that are waited for, at most `most` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiters: dict[str, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._waiters

    @property
    def full(self) -> bool:
        return len(self._waiters) >= self._most

    def record_of(self, request_id: str) -> str | None:
        """Its record, `topic:partition:offset`, once the broker has it; None too where nobody waits."""
        waiter = self._waiters.get(request_id)
        return None if waiter is None or waiter.event_id is None else waiter.event_id.decode()

    def expect(self, request_id: str, inbox: Inbox | None = None) -> asyncio.Future[bytes]:
        """The future value of the answer; `forget` it in any case. `inbox`: where its deltas go."""
        waiter = self._waiters[request_id] = _Waiter(asyncio.get_running_loop().create_future(), inbox=inbox)
        return waiter.answer

    def published(self, request_id: str, event_id: bytes) -> None:
        """Its record is on the log: answers that name it count."""
        waiter = self._waiters.get(request_id)
        if waiter is None:
            return
        waiter.event_id = event_id
        early_deltas, waiter.early_deltas = waiter.early_deltas, []
        for named, delta in early_deltas:
            self.take_delta(request_id, named, delta)
        early, waiter.early = waiter.early, []
        for named, value in early:
            self.take(request_id, named, value)

    def take(self, request_id: str, event_id: bytes, value: bytes) -> bool:
        """An answer came; whether it is one that was waited for."""
        waiter = self._waiters.get(request_id)
        if waiter is None or waiter.answer.done():
            return False
        if waiter.event_id is None:
            if len(waiter.early) < _MOST_EARLY:
                waiter.early.append((event_id, value))
            return False
        if event_id != waiter.event_id:
            return False
        waiter.answer.set_result(value)
        if waiter.timer is not None:
            waiter.timer.cancel()
        return True

    def ring(self, request_id: str, after_s: float, on_late: Callable[[], None]) -> None:
        """Call `on_late` then, if it is still waited for and not answered."""
        waiter = self._waiters.get(request_id)
        if waiter is not None and not waiter.answer.done():
            waiter.timer = asyncio.get_running_loop().call_later(after_s, on_late)

    def expire(self, request_id: str, value: bytes) -> None:
        """Its time is over: this is the answer, by nobody but its front."""
        waiter = self._waiters.get(request_id)
        if waiter is not None and not waiter.answer.done():
            waiter.answer.set_result(value)

    def is_told(self, request_id: str) -> bool:
        """Whether deltas of it have come."""
        waiter = self._waiters.get(request_id)
        return waiter is not None and waiter.inbox is not None and waiter.inbox.has_had_some

    def take_delta(self, request_id: str, event_id: bytes, delta: Arrived) -> None:
        """A delta came."""
        waiter = self._waiters.get(request_id)
        if waiter is None or waiter.inbox is None:
            return
        if waiter.event_id is None:
            if len(waiter.early_deltas) < _MOST_EARLY_DELTAS:
                waiter.early_deltas.append((event_id, delta))
        elif event_id == waiter.event_id:
            waiter.inbox.put(delta)

    def forget(self, request_id: str) -> None:
        """Nobody waits any more."""
        waiter = self._waiters.pop(request_id, None)
        if waiter is not None:
            waiter.answer.cancel()
            if waiter.timer is not None:
                waiter.timer.cancel()
