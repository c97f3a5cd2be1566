"""Who grants: the worker that owns the one partition of limits.leases in a consumer group of its own.

The group only chooses. Whose grants count is decided by the log (epochs.py), so that a choice made twice does no harm.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.supervise import supervised
from streams.transport import farewell
from streams.transport.reconnect import make_consumer

log = structlog.get_logger("headrace.limits")

_RETRY_S = 2.0


class Election:
    """Takes part for as long as it runs; `chosen(bool)` is called with every result."""

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topic: str,
        group_id: str,
        session_timeout_s: float,
        chosen: Callable[[bool], None],
    ) -> None:
        self._options = {
            **client_options,
            "group_id": group_id,
            "enable_auto_commit": False,
            "session_timeout_ms": round(session_timeout_s * 1000),
            "heartbeat_interval_ms": max(100, round(session_timeout_s * 1000 / 6)),
            "rebalance_timeout_ms": round(session_timeout_s * 1000),
            "partition_assignment_strategy": [StickyPartitionAssignor],  # whoever grants goes on when others come
        }
        self._topic = topic
        self._chosen = chosen
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("election", self._run)

    async def stop(self) -> None:
        """Leave the group, so that another worker is chosen at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._take_part()
            except KafkaError as error:
                log.warning(
                    "cannot take part in the choice of a grantor, trying again", error=str(error) or repr(error)
                )
            await asyncio.sleep(random.uniform(_RETRY_S / 2, _RETRY_S))

    async def _take_part(self) -> None:
        consumer = make_consumer(**self._options)
        try:
            await consumer.start()
            consumer.subscribe([self._topic], listener=_Listener(consumer, self._chosen))
            while True:  # the partition is paused: this only tells the client that we live
                await consumer.getmany(timeout_ms=1000)
        finally:
            self._chosen(False)
            await farewell.stop(consumer)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: AIOKafkaConsumer, chosen: Callable[[bool], None]) -> None:
        self._consumer = consumer
        self._chosen = chosen

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing changes before the next result: until then nobody else grants."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        self._chosen(bool(assigned))
