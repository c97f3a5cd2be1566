"""Answers that nobody waited for, found on the log by what their request's id says: a partition and a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.structs import TopicPartition

from streams.front.ids import Where
from streams.front.request_records import RequestRecords
from streams.kafka.list_offsets import end_offsets
from streams.kafka.reconnect import make_consumer
from topics.headers import CE_ID, REQUEST_ID
from topics.names import TopicNames

_WITHIN_S: Final = 10.0
_MOST_AT_ONCE: Final = 4
CLOCKS_APART_MS: Final = 60_000
"""The id tells the front's time, the log the broker's: so far apart they may be."""


class Finder:
    """Reads from the moment of the request to the end of the log; a few look-ups at a time."""

    def __init__(self, client_options: Mapping[str, Any], names: TopicNames, lanes: int) -> None:
        self._names = names
        self._client_options = client_options
        self._lanes = lanes
        self._slots = asyncio.Semaphore(_MOST_AT_ONCE)

    async def find(self, request_id: str, where: Where) -> bytes | None:
        """The first answer to the request; None where there is none on the log. Raises KafkaError, TimeoutError."""
        since_ms = max(0, where.since_ms - CLOCKS_APART_MS)
        if where.lane >= self._lanes:
            return None
        partition = TopicPartition(self._names.front_responses, where.lane)
        async with (
            self._slots,
            asyncio.timeout(_WITHIN_S),
            RequestRecords(self._client_options, self._names.requests, request_id) as records,
        ):
            consumer = make_consumer(**{**self._client_options, "group_id": None, "enable_auto_commit": False})
            try:
                await consumer.start()
                return await _scan(consumer, partition, since_ms, request_id, records)
            finally:
                await consumer.stop()


async def _scan(
    consumer: Any, partition: TopicPartition, since_ms: int, request_id: str, records: RequestRecords
) -> bytes | None:
    consumer.assign([partition])
    found = (await consumer.offsets_for_times({partition: since_ms}))[partition]
    if found is None:
        return None
    stop = (await end_offsets(consumer, [partition]))[partition]
    consumer.seek(partition, found.offset)
    wanted = request_id.encode()
    while await consumer.position(partition) < stop:
        for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
            headers = dict(record.headers)
            if headers.get(REQUEST_ID) == wanted and await records.names(headers.get(CE_ID) or b""):
                value: bytes | None = record.value
                return value
    return None
