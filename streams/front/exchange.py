"""One request and what comes back of it, as events: for whatever API tells them to its client.

    async with front.exchange(inbound) as exchange:
        async for event in exchange:
            match event: Delta (chunks, a cursor) | Restarted | Beat | Whole | Broken | StillWaits

The last three are the end; exactly one of them comes. Before `Whole` with a good answer all of it has been told in deltas.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self

from aiokafka.structs import ConsumerRecord

from schemas.response import Response
from streams.front.follower import Broken, Cursor, Delta, Follower, Restarted, Whole
from streams.front.whereabouts import Whereabouts

__all__ = [
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

    where: Whereabouts | None = None
    """Where it is and why, if a worker tells."""


@dataclass(frozen=True, slots=True)
class StillWaits:
    """The end: its client has waited enough; the request goes on."""


@dataclass(frozen=True, slots=True)
class Faulted:
    """The end, which whoever tells the events makes of a fault of its own; the request goes on."""


Event = Delta | Restarted | Beat | Whole | Broken | StillWaits | Faulted


class Inbox:
    """Deltas that have come and are not told yet, in bounded memory: for a reader that is too slow the answer fills the rest."""

    def __init__(self) -> None:
        self._records: deque[ConsumerRecord] = deque()
        self._size = 0
        self._full = False
        self.came = asyncio.Event()

    def put(self, record: ConsumerRecord) -> None:
        size = len(record.value or b"")
        self._full = self._full or self._size + size > _MOST_BYTES
        if self._full:
            return
        self._records.append(record)
        self._size += size
        self.came.set()

    def pop(self) -> ConsumerRecord | None:
        """The next one; None where there is none now."""
        if not self._records:
            return None
        record = self._records.popleft()
        self._size -= len(record.value or b"")
        return record


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
        where: Callable[[str], Awaitable[Whereabouts | None]] = _nowhere,
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
        clock = asyncio.get_running_loop().time
        waits_since = clock()
        while True:
            self._inbox.came.clear()
            while (record := self._inbox.pop()) is not None:
                waits_since = clock()
                for event in self._follower.take(record.offset, dict(record.headers), record.value):
                    yield event
            if self._answer.done():
                for event in self._follower.whole(Response.model_validate_json(self._answer.result())):
                    yield event
            if self._follower.ended:
                return
            left_s = self._most_wait_s - (clock() - waits_since)
            if left_s <= 0:
                yield StillWaits()
                return
            if not await came(self._inbox.came, min(BEAT_S, left_s)) and left_s > BEAT_S:
                yield Beat(await self._where(self.request_id))


async def came(event: asyncio.Event, within_s: float) -> bool:
    """Whether it was set in that time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
