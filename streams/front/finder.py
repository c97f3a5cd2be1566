"""Answers that nobody waited for, found on the log by what their request's id says: a partition and a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.structs import TopicPartition

from streams.front.ids import Where
from streams.kafka.reconnect import make_consumer
from topics.headers import REQUEST_ID

_WITHIN_S: Final = 10.0
_MOST_AT_ONCE: Final = 4
_CLOCKS_APART_MS: Final = 60_000
"""The id tells the front's time, the log the broker's: so far apart they may be."""


class Finder:
    """Reads from the moment of the request to the end of the log; a few look-ups at a time."""

    def __init__(self, client_options: Mapping[str, Any], topic: str, lanes: int) -> None:
        self._topic = topic
        self._client_options = client_options
        self._lanes = lanes
        self._slots = asyncio.Semaphore(_MOST_AT_ONCE)

    async def find(self, request_id: str, where: Where) -> bytes | None:
        """The first answer to the request; None where there is none on the log. Raises KafkaError, TimeoutError."""
        since_ms = max(0, where.since_ms - _CLOCKS_APART_MS)
        if where.lane >= self._lanes:
            return None
        async with self._slots, asyncio.timeout(_WITHIN_S):
            consumer = make_consumer(**{**self._client_options, "group_id": None, "enable_auto_commit": False})
            try:
                await consumer.start()
                return await _scan(consumer, TopicPartition(self._topic, where.lane), since_ms, request_id)
            finally:
                await consumer.stop()


async def _scan(consumer: Any, partition: TopicPartition, since_ms: int, request_id: str) -> bytes | None:
    found = (await consumer.offsets_for_times({partition: since_ms}))[partition]
    if found is None:
        return None
    stop = (await consumer.end_offsets([partition]))[partition]
    consumer.assign([partition])
    consumer.seek(partition, found.offset)
    wanted = (REQUEST_ID, request_id.encode())
    while await consumer.position(partition) < stop:
        for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
            if wanted in record.headers:
                value: bytes | None = record.value
                return value
    return None
