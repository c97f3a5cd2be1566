"""What waits in Kafka, seen from outside: how far the workers' commits are behind, and how old the oldest record behind one is.

A few requests to the broker each time (commits, both ends), whatever the backlog. Records are read only where a commit has not
moved since the last time, one fetch for each such partition, once for each offset: behind a commit that moves is no old record,
and one that does not move needs no second look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.metric_sample import BacklogSample
from streams.kafka.cluster import cluster_of
from streams.kafka.list_offsets import begin_offsets, end_offsets, group_positions
from streams.kafka.log_reader import log_reader
from streams.metrics.period import moment
from topics.names import PRIORITIES, Priority, TopicNames

_READ_S: Final = 2.0
_FETCH_BYTES: Final = 65_536


class BacklogReader:
    """Looks at the backlog of a worker group, inside `async with`. Methods raise KafkaError where the broker does not answer."""

    def __init__(self, client_options: Mapping[str, Any], group_id: str, names: TopicNames) -> None:
        self._names = names
        self._group_id = group_id
        self._reader = log_reader(
            client_options,
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        self._consumer: AIOKafkaConsumer
        self._before: dict[TopicPartition, int] = {}
        self._stamped_ms: dict[TopicPartition, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        self._consumer = await self._reader.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.__aexit__(None, None, None)

    async def look(self, at_ms: int) -> BacklogSample:
        """The backlog now, as the sample of the moment `at_ms` (Unix)."""
        known = await cluster_of(self._consumer).all_partitions()
        partitions = [partition for topic in self._names.requests for partition in known.get(topic, ())]
        commits = await group_positions(self._consumer, self._group_id, partitions)
        begins = await begin_offsets(self._consumer, partitions)
        ends = await end_offsets(self._consumer, partitions)
        nexts = {partition: max(begins[partition], commits[partition].next_offset or 0) for partition in partitions}
        lag: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        for partition, next_offset in nexts.items():
            lag[self._names.priority_of[partition.topic]] += max(0, ends[partition] - next_offset)
        stuck = [p for p, next_offset in nexts.items() if self._before.get(p) == next_offset < ends[p]]
        self._before = nexts
        oldest_ms = await self._oldest_ms(stuck, nexts)
        return BacklogSample(
            at=moment(at_ms),
            partitions=max(
                (len([p for p in partitions if p.topic == topic]) for topic in self._names.requests), default=0
            ),
            lag=lag,
            oldest_s=0.0 if oldest_ms is None else max(0.0, (at_ms - oldest_ms) / 1000),
        )

    async def _oldest_ms(self, stuck: Sequence[TopicPartition], nexts: Mapping[TopicPartition, int]) -> int | None:
        """The time of the oldest record at these offsets; of those that can be read in time."""
        known = {p: stamped for p, stamped in self._stamped_ms.items() if p in stuck and stamped[0] == nexts[p]}
        unknown = [partition for partition in stuck if partition not in known]
        if unknown:
            self._consumer.assign(unknown)
            for partition in unknown:
                self._consumer.seek(partition, nexts[partition])
            try:
                async with asyncio.timeout(_READ_S):
                    while unread := [partition for partition in unknown if partition not in known]:
                        for partition, records in (await self._consumer.getmany(*unread, timeout_ms=200)).items():
                            known[partition] = nexts[partition], records[0].timestamp
            except TimeoutError:
                pass
            finally:
                self._consumer.unsubscribe()
        self._stamped_ms = known
        return min((stamped_ms for _, stamped_ms in known.values()), default=None)
