"""Leadership by a consumer group: the leader is the member that owns a topic's partition 0."""

from __future__ import annotations

import asyncio
from typing import Final, Self

import structlog
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.heartbeat import Heartbeat
from streams.settings import Kafka
from streams.supervise import supervised
from streams.transport import farewell
from streams.transport.membership import Membership
from streams.transport.reconnect import make_consumer

log = structlog.get_logger("headrace.scaling")

_POLL_MS: Final = 500
_RETRY_S: Final = 1.0


class Ownership:
    """Takes part in the group inside an `async with` block; `owns` and `is_anothers` say who is the one.

    Both are False while that is not known: before the first result, and while the broker is away. Nothing of the topic is
    read: its partition is only what the group gives to one of its members.
    """

    def __init__(self, kafka: Kafka, group_id: str, topic: str) -> None:
        self._topic = topic
        self._heartbeat = Heartbeat(kafka.session_timeout)
        self._consumer = make_consumer(
            **kafka.client_options(),
            group_id=group_id,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=round(kafka.session_timeout * 1000),
            heartbeat_interval_ms=round(kafka.heartbeat_interval * 1000),
            rebalance_timeout_ms=round(kafka.rebalance_timeout * 1000),
            partition_assignment_strategy=[StickyPartitionAssignor],  # the owner stays the owner when others join
        )
        self._listener = _Listener(TopicPartition(topic, 0))
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await farewell.stop(self._consumer)
            raise
        self._consumer.subscribe([self._topic], listener=self._listener)
        Membership(self._consumer, self._heartbeat)
        self._task = supervised("supervisor_group", self._poll)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await farewell.stop(self._consumer)

    @property
    def owns(self) -> bool:
        """Whether the group gave it to this process, and has heard of it within the session timeout."""
        return self._listener.ours is True and self._heartbeat.fresh()

    @property
    def is_anothers(self) -> bool:
        """Whether the group gave it to another process."""
        return self._listener.ours is False and self._heartbeat.fresh()

    async def _poll(self) -> None:
        """The client leaves the group where nobody polls."""
        while True:
            try:
                await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                log.warning("the group cannot be reached now, trying again", error=repr(error))
                await asyncio.sleep(_RETRY_S)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the group's last result. A rebalance that is under way changes nothing: its end does."""

    def __init__(self, partition: TopicPartition) -> None:
        self.ours: bool | None = None
        self._partition = partition

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Not a result."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.ours = self._partition in assigned
