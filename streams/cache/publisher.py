"""Entries on their way to `cache.entries`. One that is lost costs another provider call some day, so nothing waits for it.

One lane for each partition, as in delivery's outbox: what comes while the producer is busy leaves in the next batch. Nobody
is told of an ack. What does not fit into the buffer, or is not taken by the broker, is counted and dropped.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from xxhash import xxh64_intdigest

from schemas.cache_entry import EXPIRES_AT_MS
from schemas.limits import MIB
from topics.headers import CE_SOURCE, CE_TYPE, CONTENT_TYPE, ce_type
from topics.names import CACHE_ENTRIES
from topics.partitioner import jump_hash

log = structlog.get_logger("headrace.cache")

_TYPE: Final = (CE_TYPE, ce_type("cache_entry").encode())
_JSON: Final = (CONTENT_TYPE, b"application/json")


@dataclass(slots=True)
class PublishCounts:
    """Entries since the start. Those dropped found the buffer full; those failed were not taken by the broker."""

    published: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Batch:
    builder: Any
    records: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Lane:
    waiting: deque[_Batch] = field(default_factory=deque)
    sender: asyncio.Task[None] | None = None


class EntryPublisher:
    """Publishes entries through a started producer. `source` names this worker; its reader knows its own entries by it."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        source: bytes,
        topic: str = CACHE_ENTRIES,
        buffer_bytes: int = 16 * MIB,
    ) -> None:
        self.counts = PublishCounts()
        self._producer = producer
        self._source = (CE_SOURCE, source)
        self._topic = topic
        self._buffer_bytes = buffer_bytes
        self._pending_bytes = 0
        self._lanes: dict[int, _Lane] = {}
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

    def _post(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        size = len(key) + len(value or b"")
        partitions = self._producer.client.cluster.partitions_for_topic(self._topic)
        if not partitions or self._pending_bytes + size > self._buffer_bytes:
            self.counts.dropped += 1
            self._lost("no such topic" if not partitions else "the broker is behind")
            return
        self._pending_bytes += size
        partition = jump_hash(xxh64_intdigest(key, 0), len(partitions))  # not cached: a key comes once
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane()
        record = {"timestamp": None, "key": key, "value": value, "headers": headers}
        if not lane.waiting or lane.waiting[-1].builder.append(**record) is None:
            lane.waiting.append(_Batch(self._producer.create_batch()))
            lane.waiting[-1].builder.append(**record)  # the first one always finds room
        batch = lane.waiting[-1]
        batch.records += 1
        batch.bytes += size
        if lane.sender is None:
            lane.sender = asyncio.get_running_loop().create_task(self._send(lane, partition))

    async def _send(self, lane: _Lane, partition: int) -> None:
        try:
            while lane.waiting:
                batch = lane.waiting.popleft()
                batch.builder.close()
                try:
                    acked = await self._producer.send_batch(batch.builder, self._topic, partition=partition)
                except Exception as error:  # aiokafka asserts too, where a topic has vanished
                    self._gone(batch, error)
                else:
                    acked.add_done_callback(functools.partial(self._on_ack, batch))
        finally:
            lane.sender = None

    def _on_ack(self, batch: _Batch, done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            self._gone(batch, done.exception())

    def _gone(self, batch: _Batch, error: BaseException | None) -> None:
        self._pending_bytes -= batch.bytes
        if error is None:
            self.counts.published += batch.records
            if self._losing:
                self._losing = False
                log.info("cached answers are shared again", topic=self._topic)
        else:
            self.counts.failed += batch.records
            self._lost(repr(error))

    def _lost(self, why: str) -> None:
        """Say it once, until something is taken again."""
        if not self._losing:
            self._losing = True
            log.warning(
                "cached answers are not shared now; they count as headrace_cache_unshared", topic=self._topic, error=why
            )

    async def stop(self) -> None:
        """Give up what the producer has not got yet."""
        tasks = [lane.sender for lane in self._lanes.values() if lane.sender is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
