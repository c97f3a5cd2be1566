"""Entries on their way to `cache.entries`. One that is lost costs another provider call some day, so nothing waits for it.

One open batch for each partition; what comes while a request is under way leaves with the next one. Nobody is told of an ack.
What does not fit into the buffer, or is not taken by the broker in some attempts, is counted and dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.errors import LeaderNotAvailableError
from aiokafka.structs import TopicPartition

from schemas.cache_entry import EXPIRES_AT_MS
from schemas.limits import MIB
from streams.kafka.cluster import NO_LEADER, Cluster
from streams.kafka.record_batch import Headers, RecordBatch
from streams.supervise import end, supervised
from topics.broker_errors import Advice, advice_for
from topics.headers import CE_SOURCE, CE_TYPE, CONTENT_TYPE, ce_type
from topics.partitioner import partition_for

log = structlog.get_logger("headrace.cache")

_TYPE: Final = (CE_TYPE, ce_type("cache_entry").encode())
_JSON: Final = (CONTENT_TYPE, b"application/json")

_BATCH_BYTES: Final = 256_000
_ACKS_WITHIN_MS: Final = 30_000
_ATTEMPTS: Final = 10
_PASSES: Final = (Advice.ELSEWHERE, Advice.LATER)
_RETRY_S: Final = 0.3
"""Ten attempts of this pause: a leader that moves takes some seconds."""


@dataclass(slots=True)
class PublishCounts:
    """Entries since the start. Those dropped found the buffer full; those failed were not taken by the broker."""

    published: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class _Batch:
    to: TopicPartition
    batch: RecordBatch
    size: int = 0
    attempts: int = 0

    def append(self, key: bytes, value: bytes | None, headers: Headers) -> bool:
        """Whether there was room; the first one always finds some."""
        if not self.batch.append(key, value, headers):
            return False
        self.size += len(key) + len(value or b"")
        return True


class EntryPublisher:
    """Publishes entries. `source` names this worker; its reader knows its own entries by it."""

    def __init__(
        self,
        cluster: Cluster,
        source: bytes,
        topic: str,
        buffer_bytes: int = 16 * MIB,
    ) -> None:
        self.counts = PublishCounts()
        self._cluster = cluster
        self._source = (CE_SOURCE, source)
        self._topic = topic
        self._buffer_bytes = buffer_bytes
        self._pending_bytes = 0
        self._lanes: dict[int, deque[_Batch]] = {}
        """By partition."""
        self._leaving: set[_Batch] = set()
        self._sender: asyncio.Task[None] | None = None
        self._losing = False

    @property
    def pending_bytes(self) -> int:
        """Published, and neither acked nor given up."""
        return self._pending_bytes

    def publish(self, key: bytes, value: bytes, expires_at: float) -> None:
        """Share an entry; `expires_at` is Unix time in seconds. Costs no wait and raises nothing."""
        self._post(key, value, [(EXPIRES_AT_MS, b"%d" % round(expires_at * 1000)), _TYPE, self._source, _JSON])

    def delete(self, key: bytes) -> None:
        """Take an entry back, everywhere."""
        self._post(key, None, [self._source])

    def _post(self, key: bytes, value: bytes | None, unsigned: list[tuple[str, bytes]]) -> None:
        size = len(key) + len(value or b"")
        partitions = self._cluster.partitions(self._topic)
        if not partitions or self._pending_bytes + size > self._buffer_bytes:
            self.counts.dropped += 1
            self._lost("no such topic" if not partitions else "the broker is behind")
            return
        self._pending_bytes += size
        headers = self._cluster.signed(self._topic, key, value, unsigned)
        partition = partition_for(key, len(partitions))
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = deque()
        if not lane or not lane[-1].append(key, value, headers):
            lane.append(_Batch(TopicPartition(self._topic, partition), RecordBatch(_BATCH_BYTES)))
            lane[-1].append(key, value, headers)
        if self._sender is None:
            self._sender = supervised("cache_publisher", self._send, self._give_up_leaving)

    async def _send(self) -> None:
        """Until nothing waits: the oldest batch of each partition, in one request to each broker."""
        while leaving := [lane.popleft() for lane in self._lanes.values() if lane]:
            self._leaving.update(leaving)
            by_broker: dict[int | None, list[_Batch]] = {}
            for batch in leaving:
                by_broker.setdefault(self._cluster.leader(batch.to), []).append(batch)
            if len(by_broker) == 1:  # without a task of its own it leaves with the answer, in one request
                ((node, batches),) = by_broker.items()
                again = [await self._produce(node, batches)]
            else:
                again = await asyncio.gather(*(self._produce(node, each) for node, each in by_broker.items()))
            if any(again):
                await asyncio.sleep(_RETRY_S)
        self._sender = None

    def _give_up_leaving(self) -> None:
        """After a fault: what was under way is not shared, and its room is free again."""
        for batch in list(self._leaving):
            self._gone(batch, RuntimeError("a fault of the publisher's own"))

    async def _produce(self, node_id: int | None, batches: Sequence[_Batch]) -> bool:
        """Whether some of them wait to be sent again."""
        errors: Mapping[TopicPartition, Exception]
        try:
            written = {}
            for batch in batches:
                batch.attempts += 1
                written[batch.to] = batch.batch.written()
            if node_id in (None, NO_LEADER):
                raise LeaderNotAvailableError
            errors = await self._cluster.produce(node_id, written, _ACKS_WITHIN_MS)
        except Exception as error:  # whatever it is, nothing was acked
            errors = {batch.to: error for batch in batches}
        again = False
        for batch in batches:
            fault = errors.get(batch.to)
            if fault is not None and batch.attempts < _ATTEMPTS and advice_for(fault) in _PASSES:
                again = True
                self._cluster.refresh_soon()
                self._leaving.discard(batch)
                self._lanes[batch.to.partition].appendleft(batch)
            else:
                self._gone(batch, fault)
        return again

    def _gone(self, batch: _Batch, error: BaseException | None) -> None:
        self._leaving.discard(batch)
        self._pending_bytes -= batch.size
        if error is None:
            self.counts.published += batch.batch.count
            if self._losing:
                self._losing = False
                log.info("cached answers are shared again", topic=self._topic)
        else:
            self.counts.failed += batch.batch.count
            self._lost(repr(error))

    def _lost(self, why: str) -> None:
        """Say it once, until something is taken again."""
        if not self._losing:
            self._losing = True
            log.warning(
                "cached answers are not shared now; they count as headrace_cache_unshared", topic=self._topic, error=why
            )

    async def stop(self) -> None:
        """Give up what the broker has not acked."""
        if self._sender is not None:
            await end([self._sender])
