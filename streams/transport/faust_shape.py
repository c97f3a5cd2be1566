"""What Faust asks of a consumer besides what ours does: mostly things that have no place where records come by the list."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage
from faust.types.tuples import Message

from streams.kafka.fetched import Fetched
from streams.kafka.membership import Membership
from streams.transport.offsets import RecordList


class FaustShape(FaustConsumer):  # type: ignore[misc]
    """The part of a consumer that only Faust sees."""

    @property
    def _running(self) -> AIOKafkaConsumer:
        raise NotImplementedError

    @property
    def _fetched(self) -> Fetched:
        raise NotImplementedError

    @property
    def membership(self) -> Membership:
        raise NotImplementedError

    async def give_up_partitions(self) -> None:
        raise NotImplementedError

    async def take_partitions(self) -> None:
        raise NotImplementedError

    async def wait_empty(self) -> None:
        """Called on revoke, and on stop."""
        await self.give_up_partitions()

    async def perform_seek(self) -> None:
        """Called when partitions are assigned."""
        await self.take_partitions()

    async def subscribe(self, topics: Iterable[str]) -> None:
        self._running.subscribe(topics=list(topics), listener=_Listener(self))

    def _message(self, lists: Sequence[RecordList]) -> ConsumerMessage:
        """An event wants one partition and offset, and uses neither: its acks are off."""
        last = lists[-1]
        partition = TP(last.origin.topic, last.origin.partition)
        generation = self.app.consumer_generation_id
        return ConsumerMessage(
            *partition, last.next_offset - 1, time.time(), 1, [], None, lists, None, None, None, partition,
            generation_id=generation,
        )  # fmt: skip

    def on_buffer_full(self, tp: TP) -> None:
        """Faust's own flow control takes partitions out of a set in which empty means all: never."""

    def on_buffer_drop(self, tp: TP) -> None: ...

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
        found = self._running.partitions_for_topic(topic)
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


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka's callbacks, passed on as Faust wants them."""

    def __init__(self, consumer: FaustShape) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._consumer.app.on_rebalance_start()
        await self._consumer.on_partitions_revoked({TP(*partition) for partition in revoked})

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        generation = self._consumer.membership.generation
        self._consumer.app.consumer_generation_id = generation
        await self._consumer.on_partitions_assigned({TP(*partition) for partition in assigned}, generation)
        if not assigned:  # Faust seeks only where there is something: what was lost would seem ours, and we never ready
            await self._consumer.perform_seek()
