"""Who of several is the one: the member of a consumer group that owns a topic's partition 0.

Nothing of the topic is read: its partition is only what the group gives to one of its members. The sticky assignor leaves it
there when others come. The group only chooses; what a choice that was made twice may do is bounded elsewhere
(limits/books/epochs.py, the log of decisions).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.backoff import equal_jitter_s
from streams.heartbeat import Heartbeat
from streams.kafka import closing
from streams.kafka.membership import Membership
from streams.kafka.reconnect import make_consumer
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.election")

_RETRY_S: Final = 2.0
_POLL_MS: Final = 1000
_BEATS_A_SESSION: Final = 6


class Election:
    """Takes part from `start` to `stop`; `chosen(bool)` is called with every result.

    `session_timeout_s` is how long the group waits for a member that it does not hear.
    """

    def __init__(
        self,
        client_options: Mapping[str, object],
        topic: str,
        group_id: str,
        session_timeout_s: float,
        chosen: Callable[[bool], None] = lambda is_chosen: None,
    ) -> None:
        session_ms = round(session_timeout_s * 1000)
        self._options = {
            **client_options,
            "group_id": group_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "latest",
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": max(100, session_ms // _BEATS_A_SESSION),
            "rebalance_timeout_ms": session_ms,
            "partition_assignment_strategy": [StickyPartitionAssignor],
        }
        self._topic = topic
        self._heartbeat = Heartbeat(session_timeout_s)
        self._chosen = chosen
        self._ours: bool | None = None
        """The last result; None before there is one. A rebalance that is under way changes nothing: its end does."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("election", self._run)

    async def stop(self) -> None:
        """Leave the group, so that another one is chosen at once."""
        if self._task is not None:
            await end([self._task])

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def is_ours(self) -> bool:
        """Whether the group chose this process, and has heard of it within the session timeout."""
        return self._ours is True and self._heartbeat.fresh()

    @property
    def is_anothers(self) -> bool:
        """Whether the group chose another process. Neither this nor `is_ours` while that is not known."""
        return self._ours is False and self._heartbeat.fresh()

    async def _run(self) -> None:
        while True:
            try:
                await self._take_part()
            except KafkaError as error:
                log.warning(
                    "cannot take part in an election, trying again", topic=self._topic, error=str(error) or repr(error)
                )
            await asyncio.sleep(equal_jitter_s(_RETRY_S))

    async def _take_part(self) -> None:
        consumer = make_consumer(**self._options)
        try:
            await consumer.start()
            Membership(consumer, self._heartbeat)
            consumer.subscribe(
                [self._topic], listener=_Listener(consumer, TopicPartition(self._topic, 0), self._on_result)
            )
            while True:  # the partition is paused: this only tells the client that we live
                await consumer.getmany(timeout_ms=_POLL_MS)
        finally:
            self._ours = None
            self._chosen(False)
            await closing.stop(consumer)

    def _on_result(self, ours: bool) -> None:
        self._ours = ours
        self._chosen(ours)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, on_result: Callable[[bool], None]
    ) -> None:
        self._consumer = consumer
        self._partition = partition
        self._on_result = on_result

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Not a result: until there is one nobody else is chosen."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        self._on_result(self._partition in assigned)
