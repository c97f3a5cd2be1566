"""One record of any topic, by its place: what a page about a request shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.limits import ANSWER_RECORD_BYTES
from streams.kafka.log_reader import log_reader

_WITHIN_S: Final = 3.0
_POLL_MS: Final = 200


class RecordFinder:
    """Reads one record after the other by one consumer of no group, made at the first question; `stop` ends it."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._client_options = client_options
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._consumer: Any = None

    async def stop(self) -> None:
        async with self._lock:
            await self._stack.aclose()
            self._consumer = None

    async def find(self, topic: str, partition: int, offset: int) -> Any | None:
        """The record there; None where it is not retained any more, or does not come within 3 s."""
        try:
            async with asyncio.timeout(_WITHIN_S), self._lock:
                return await self._find(TopicPartition(topic, partition), offset)
        except (TimeoutError, KafkaError):
            return None

    async def _find(self, partition: TopicPartition, offset: int) -> Any | None:
        if self._consumer is None:
            reader = log_reader(
                self._client_options, max_partition_fetch_bytes=ANSWER_RECORD_BYTES, fetch_max_wait_ms=100
            )
            self._consumer = await self._stack.enter_async_context(reader)
        consumer: Any = self._consumer
        consumer.assign([partition])
        consumer.seek(partition, offset)
        try:
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=1)).values():
                    for record in records:
                        return record if record.offset == offset else None
        finally:
            consumer.unsubscribe()
