"""Answers as they come, for requests that ask for it: chunks in, deltas on `agent.deltas` out. They never hold up an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka.structs import TopicPartition

from streams.delivery.delta_batch import DeltaBatch
from streams.delivery.delta_beat import SHORTEST_S, Beat
from streams.delivery.delta_groups import Group, Groups
from streams.delivery.delta_history import DeltaHistory
from streams.delivery.delta_lanes import DeltaLanes
from streams.kafka.cluster import Cluster
from streams.kept import Kept, Upstream
from streams.pipeline import Deltas, PendingRequest
from topics.names import V1, TopicNames
from topics.partitioner import partition_for

log = structlog.get_logger("headrace.delivery")

_REST_ABOVE_S: Final = 1.4 * SHORTEST_S
"""Beats that are longer bring several tokens each: to read them one by one costs more than to be woken once more."""
_HELD_BYTES: Final = 8 * 2**20
"""Of deltas that the broker has not taken yet; a worker that streams 200 answers writes 0.2 MB/s."""


class DeltaPublisher:
    """Makes deltas of what providers stream. One clock for all streams: what came within a beat leaves together, one request to a
    broker in place of one a stream.
    """

    def __init__(
        self,
        cluster: Cluster,
        now: Callable[[], float],
        names: TopicNames = V1,
        history: DeltaHistory | None = None,
        inherited: Callable[[PendingRequest], bool] = lambda _: True,
    ) -> None:
        """`history` tells what others have told, of requests that may have been theirs (`inherited`)."""
        self._lanes = DeltaLanes(cluster, _HELD_BYTES)
        self._now = now
        self._topic = names.deltas
        self._history = history
        self._inherited = inherited
        self._groups = Groups()
        self._next_departure: asyncio.TimerHandle | None = None
        self._beat = Beat(time.monotonic(), time.thread_time())

    def of(self, request: PendingRequest) -> Deltas | None:
        """The deltas of a chat that wants some; None of any other request, and where the topic is not there."""
        if not request.streams or request.request.operation != "chat.completions":
            return None
        known = self._lanes.partitions(self._topic)
        if not known:
            return None
        number, key = request.reply_partition, request.request_id.encode()
        if number is None or number not in known:
            number = partition_for(key, len(known))
        batch = DeltaBatch(request.event_id, request.request_id)
        return _Deltas(self, TopicPartition(self._topic, number), key, batch, request)

    def may_have(self, request: PendingRequest) -> bool:
        """Whether others may have told something of it."""
        return request.streams and self._history is not None and self._inherited(request)

    async def has(self, request: PendingRequest) -> bool:
        """Whether others have told something of it that can be gone on with."""
        deltas = self.of(request)
        return deltas is not None and await deltas.kept() is not None

    async def kept(self, to: TopicPartition, request: PendingRequest) -> Kept | None:
        if self._history is None or not self._inherited(request):
            return None
        return await self._history.of(to, request.request_id.encode(), request.event_id, request.received_at)

    async def promise(self, to: TopicPartition, key: bytes, batch: DeltaBatch) -> bool:
        taken = batch.take()
        return taken is not None and await self._lanes.promise(to, key, *taken)

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def later(self, deltas: _Deltas) -> None:
        """These leave within a beat."""
        if deltas.group is None:
            self._groups.join(deltas)
        self._set_departure()

    def rest(self, deltas: _Deltas) -> Awaitable[None] | None:
        """Until the next departure of a stream whose chunks wait for it, for its reader; None where beats are short."""
        if self._beat.length_s <= _REST_ABOVE_S:
            return None
        rest = asyncio.get_running_loop().create_future()
        self._groups.join(deltas).resting.append(rest)
        self._set_departure()
        return rest

    def _set_departure(self) -> None:
        if self._next_departure is None:
            loop = asyncio.get_running_loop()
            due = loop.time() + self._beat.length_s / self._groups.count
            self._next_departure = loop.call_at(due, self._on_departure, due)

    def post(self, to: TopicPartition, key: bytes, batch: DeltaBatch) -> None:
        if (taken := batch.take()) is not None:
            self._lanes.post(to, key, *taken)

    def _on_departure(self, due: float) -> None:
        """Readers that rested read what has come for them, and then all of their group leaves."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._beat.after(now, time.thread_time(), now - due)
        self._next_departure = None
        group = self._groups.next()
        if group.wake():
            loop.call_soon(self._leave, group)
        else:
            self._leave(group)

    def _leave(self, group: Group) -> None:
        group.leave()
        if not self._groups.is_empty:
            self._set_departure()

    async def stop(self) -> None:
        """Leave out what has not left."""
        if self._next_departure is not None:
            self._next_departure.cancel()
        for group in self._groups.all():
            group.wake()
        if self._history is not None:
            await self._history.stop()
        await self._lanes.stop()


class _Deltas:
    """The deltas of one request."""

    __slots__ = ("_batch", "_key", "_publisher", "_request", "_to", "group")

    def __init__(
        self, publisher: DeltaPublisher, to: TopicPartition, key: bytes, batch: DeltaBatch, request: PendingRequest
    ) -> None:
        self._publisher = publisher
        self._to = to
        self._key = key
        self._batch = batch
        self._request = request
        self.group: Group | None = None

    async def kept(self) -> Kept | None:
        return await self._publisher.kept(self._to, self._request)

    def begin(self, *, restart: bool, upstream: Upstream | None = None, held: bool = False) -> None:
        encoded = None if upstream is None else upstream.encode()
        self._batch.begin(self._publisher.now_ms(), restart=restart, upstream=encoded, held=held)

    async def promise(self, upstream: Upstream) -> bool:
        self._batch.release(upstream.encode())
        return await self._publisher.promise(self._to, self._key, self._batch)

    def put(self, chunk: bytes, brought: bool, reached: int | None = None) -> None:
        if self._batch.put(chunk, brought, reached):
            self.leave()
        else:
            self._publisher.later(self)

    def rest(self) -> Awaitable[None] | None:
        return self._publisher.rest(self) if self._batch.waits else None

    def end(self) -> None:
        self.leave()

    def leave(self) -> None:
        self._publisher.post(self._to, self._key, self._batch)
