"""One request and what comes back of it, as events: for whatever API tells them to its client.

    async with await front.exchange(inbound) as exchange:
        async for event in exchange:
            match event: Delta (chunks, a cursor) | Restarted | Beat | Whole | Broken | StillWaits

The last three are the end; exactly one of them comes. Before `Whole` with a good answer all of it has been told in deltas.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from schemas.response import Response
from streams.alarm import Alarm
from streams.front.follower import Broken, Cursor, Delta, Follower, Restarted, Whole
from streams.front.request_state import RequestState

__all__ = [
    "Arrived",
    "Beat",
    "Broken",
    "Cursor",
    "Delta",
    "Event",
    "Exchange",
    "Faulted",
    "Inbox",
    "Restarted",
    "StillWaits",
    "Whole",
]

BEAT_S: Final = 10.0
"""A stream is silent for no longer: load balancers cut what is silent for 60 s, some for 30."""

_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing has come for a while; the request goes on."""

    where: RequestState | None = None
    """Where it is and why, if a worker tells."""


@dataclass(frozen=True, slots=True)
class StillWaits:
    """The end: its client has waited enough; the request goes on."""


@dataclass(frozen=True, slots=True)
class Faulted:
    """The end, which whoever tells the events makes of a fault of its own; the request goes on."""


Event = Delta | Restarted | Beat | Whole | Broken | StillWaits | Faulted


class Arrived(NamedTuple):
    """A delta as it was read from the lane."""

    offset: int
    headers: Mapping[str, bytes]
    value: bytes


class Inbox:
    """Deltas that have come and are not told yet, in bounded memory: for a reader that is too slow the answer fills the rest."""

    def __init__(self) -> None:
        self._records: deque[Arrived] = deque()
        self._size = 0
        self._full = False
        self.has_had_some = False
        self.came = asyncio.Event()

    def put(self, delta: Arrived) -> None:
        self.has_had_some = True
        size = len(delta.value)
        self._full = self._full or self._size + size > _MOST_BYTES
        if self._full:
            return
        self._records.append(delta)
        self._size += size
        self.came.set()

    @property
    def empty(self) -> bool:
        return not self._records

    def pop(self) -> Arrived | None:
        """The next one; None where there is none now."""
        if not self._records:
            return None
        delta = self._records.popleft()
        self._size -= len(delta.value)
        return delta


async def _nowhere(_: str) -> None: ...


class Exchange:
    """A request that is on the log. `forget` is called at the end, also where its client has gone."""

    def __init__(
        self,
        request_id: str,
        lane: int,
        answer: asyncio.Future[bytes],
        inbox: Inbox,
        most_wait_s: float,
        forget: Callable[[str], None],
        where: Callable[[str], Awaitable[RequestState | None]] = _nowhere,
    ) -> None:
        self.request_id = request_id
        self._answer = answer
        self._inbox = inbox
        self._most_wait_s = most_wait_s
        self._forget = forget
        self._where = where
        self._follower = Follower(lane)
        answer.add_done_callback(lambda _: inbox.came.set())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._forget(self.request_id)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Raises ValueError where the fleet's answer cannot be read."""
        clock, inbox, take = asyncio.get_running_loop().time, self._inbox, self._follower.take
        alarm = Alarm(inbox.came.set)
        waits_since = clock()
        try:
            while True:
                inbox.came.clear()
                while (delta := inbox.pop()) is not None:
                    waits_since = clock()
                    for event in take(*delta):
                        yield event
                if self._answer.done():
                    for event in self._follower.whole(Response.model_validate_json(self._answer.result())):
                        yield event
                if self._follower.ended:
                    return
                now, ends = clock(), waits_since + self._most_wait_s
                if now >= ends:
                    yield StillWaits()
                    return
                beat_at = now + BEAT_S
                alarm.set(min(beat_at, ends))
                await inbox.came.wait()
                alarm.clear()
                if beat_at <= clock() < ends and inbox.empty and not self._answer.done():
                    yield Beat(await self._where(self.request_id))
        finally:
            alarm.close()
