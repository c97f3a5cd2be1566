"""Answers as they come, for requests that ask for it: chunks in, deltas on `agent.deltas` out. They never hold up an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka.structs import TopicPartition

from streams.delivery.delta_batch import DeltaBatch
from streams.delivery.delta_history import DeltaHistory
from streams.delivery.delta_lanes import DeltaLanes
from streams.kafka.cluster import Cluster
from streams.kept import Kept, Upstream
from streams.pipeline import Deltas, PendingRequest
from topics.names import V1, TopicNames
from topics.partitioner import partition_for

log = structlog.get_logger("headrace.delivery")

_EVERY_S: Final = 0.025
_AT_MOST_EVERY_S: Final = 0.1
_HELD_BYTES: Final = 8 * 2**20
"""Of deltas that the broker has not taken yet; a worker that streams 200 answers writes 0.2 MB/s."""


class DeltaPublisher:
    """Makes deltas of what providers stream. One clock for all streams: what came since its last beat leaves together, one
    request to a broker in place of one a stream.
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
        self._waiting: set[_Deltas] = set()
        self._beat: asyncio.TimerHandle | None = None
        self._every_s = _EVERY_S

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
        """These leave with the next beat."""
        self._waiting.add(deltas)
        if self._beat is None:
            loop = asyncio.get_running_loop()
            self._beat = loop.call_later(self._every_s, self._leave, loop.time() + self._every_s)

    def post(self, to: TopicPartition, key: bytes, batch: DeltaBatch) -> None:
        if (taken := batch.take()) is not None:
            self._lanes.post(to, key, *taken)

    def _leave(self, due: float) -> None:
        """A beat that comes late says that the loop has too much to do: the next ones are further apart."""
        late_s = asyncio.get_running_loop().time() - due
        self._every_s = min(_AT_MOST_EVERY_S, _EVERY_S + 2 * late_s)
        self._beat = None
        leaving, self._waiting = self._waiting, set()
        for deltas in leaving:
            deltas.leave()

    async def stop(self) -> None:
        """Leave out what has not left."""
        if self._beat is not None:
            self._beat.cancel()
        if self._history is not None:
            await self._history.stop()
        await self._lanes.stop()


class _Deltas:
    """The deltas of one request."""

    __slots__ = ("_batch", "_key", "_publisher", "_request", "_to")

    def __init__(
        self, publisher: DeltaPublisher, to: TopicPartition, key: bytes, batch: DeltaBatch, request: PendingRequest
    ) -> None:
        self._publisher = publisher
        self._to = to
        self._key = key
        self._batch = batch
        self._request = request

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

    def end(self) -> None:
        self.leave()

    def leave(self) -> None:
        self._publisher.post(self._to, self._key, self._batch)
