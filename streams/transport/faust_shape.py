"""What Faust asks of a consumer besides what ours does: mostly things that have no place where records come by the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP
from faust.types.tuples import Message

from streams.kafka.fetched import Fetched


class FaustShape(FaustConsumer):  # type: ignore[misc]
    """The part of a consumer that only Faust sees."""

    @property
    def _running(self) -> AIOKafkaConsumer:
        raise NotImplementedError

    @property
    def _fetched(self) -> Fetched:
        raise NotImplementedError

    def assignment(self) -> set[TP]:
        return {TP(*partition) for partition in self._running.assignment()}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        raise NotImplementedError("perform_seek positions all partitions at once")

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise NotImplementedError("commits carry metadata: see commit()")

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        raise NotImplementedError("records are handed out by the list")

    async def _seek(self, partition: TP, offset: int) -> None:
        self._fetched.seek(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        raise NotImplementedError("there are no tables to recover")

    async def position(self, tp: TP) -> int | None:
        return int(await self._running.position(TopicPartition(*tp)))

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict(await self._running.beginning_offsets([TopicPartition(*tp) for tp in partitions]))

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        return dict(await self._running.end_offsets([TopicPartition(*tp) for tp in partitions]))

    def highwater(self, tp: TP) -> int:
        return int(self._running.highwater(TopicPartition(*tp)) or 0)

    def topic_partitions(self, topic: str) -> int | None:
        found = self._running._client.cluster.partitions_for_topic(topic)
        return len(found) if found else None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> Any:
        raise NotImplementedError("the producer's partitioner decides")

    async def create_topic(self, topic: str, *_: Any, **__: Any) -> None:
        raise NotImplementedError("topics are made by `headrace topics apply`")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> Message:
        raise NotImplementedError("records are handed out by the list")

    def close(self) -> None: ...
