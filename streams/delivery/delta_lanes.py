"""Deltas on their way to the broker, one request at a time to each partition: in order, in bounded memory, for a while only.

Unlike an answer (outbox.py) a delta is not worth waiting for: it is acked by its partition's leader alone, sent again a few
times, which carries it over a change of leaders, and then left out. What was written twice has one number, and counts once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.cluster import NO_LEADER, Cluster
from streams.kafka.record_batch import RecordBatch
from streams.metrics import definitions as metrics
from streams.supervise import Jobs
from topics.headers import Headers

_LEADER: Final = 1
"""Acks: by the leader alone."""
_ALL: Final = -1
"""Acks: by all replicas in sync."""
_BATCH_BYTES: Final = 256 * 1024
_ATTEMPTS: Final = 5
_ATTEMPTS_OF_A_PROMISE: Final = 12
"""About 10 s of them: an election, and a broker that starts again."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0
_WITHIN_S: Final = 3.0


@dataclass(slots=True)
class _Lane:
    to: TopicPartition
    waiting: deque[RecordBatch] = field(default_factory=deque)
    busy: bool = False


class DeltaLanes:
    """Writes deltas; holds at most `most_bytes` of them."""

    def __init__(self, cluster: Cluster, most_bytes: int) -> None:
        self._cluster = cluster
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._jobs = Jobs("deltas")

    def post(self, to: TopicPartition, key: bytes, value: bytes, headers: Headers) -> bool:
        """Send one delta; False where too many wait: it is left out."""
        if self._held_bytes + len(value) > self._most_bytes:
            metrics.DELTAS.labels("left_out").inc()
            return False
        signed = self._cluster.signed(to.topic, key, value, headers)
        lane = self._lanes.get(to)
        if lane is None:
            lane = self._lanes[to] = _Lane(to)
        before = lane.waiting[-1].size if lane.waiting else 0
        if not lane.waiting or not lane.waiting[-1].append(key, value, signed):
            batch, before = RecordBatch(_BATCH_BYTES), 0
            batch.append(key, value, signed)
            lane.waiting.append(batch)
        self._held_bytes += lane.waiting[-1].size - before
        if not lane.busy:
            lane.busy = True
            self._jobs.start(self._send_all(lane), partial(self._give_up, lane))
        return True

    async def promise(self, to: TopicPartition, key: bytes, value: bytes, headers: Headers) -> bool:
        """Write one delta that others rely on: whether all replicas in sync have it. Nothing else of its request is under way."""
        batch = RecordBatch(_BATCH_BYTES)
        batch.append(key, value, self._cluster.signed(to.topic, key, value, headers))
        self._held_bytes += batch.size
        try:
            written = await self._sent(to, batch, _ALL, _ATTEMPTS_OF_A_PROMISE)
        finally:
            self._held_bytes -= batch.size
        metrics.DELTAS.labels("written" if written else "left_out").inc()
        return written

    async def _send_all(self, lane: _Lane) -> None:
        while lane.waiting:
            batch = lane.waiting[0]
            outcome = "written" if await self._sent(lane.to, batch) else "left_out"
            metrics.DELTAS.labels(outcome).inc(batch.count)
            lane.waiting.popleft()
            self._held_bytes -= batch.size
        lane.busy = False

    async def _sent(
        self, to: TopicPartition, batch: RecordBatch, acks: int = _LEADER, attempts: int = _ATTEMPTS
    ) -> bool:
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)))
            leader = self._cluster.leader(to)
            if leader in (None, NO_LEADER):
                self._cluster.refresh_soon()
                continue
            size = batch.size
            written = batch.written()
            self._held_bytes += batch.size - size
            try:
                async with asyncio.timeout(_WITHIN_S):
                    refused = await self._cluster.produce(leader, {to: written}, round(_WITHIN_S * 1000), acks)
            except (KafkaError, TimeoutError, OSError):
                continue
            if not refused:
                return True
            self._cluster.refresh_soon()
        return False

    def _give_up(self, lane: _Lane) -> None:
        """After a fault of ours: nobody waits for deltas."""
        self._held_bytes -= sum(batch.size for batch in lane.waiting)
        lane.waiting.clear()
        lane.busy = False

    def partitions(self, topic: str) -> Sequence[int]:
        """The numbers of the topic's partitions, none where they are not known now."""
        found = sorted(self._cluster.partitions(topic))
        if not found:
            self._cluster.follow(topic)
            self._cluster.refresh_soon()
        return found

    async def stop(self) -> None:
        """Leave out what is not written."""
        await self._jobs.end()
