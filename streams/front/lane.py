"""The lane: the one partition of the fronts' topic that a front reads, from the moment on at which it began."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.supervise import end, supervised
from streams.transport.reconnect import make_consumer

log = structlog.get_logger("headrace.front")

_POLL_MS: Final = 1000
_FETCH_WAIT_MS: Final = 500


class Lane:
    """Hands every record of one partition to `on_record`, in order. It belongs to no group: nobody can take it away."""

    def __init__(
        self, client_options: Mapping[str, Any], topic: str, number: int, on_record: Callable[[ConsumerRecord], None]
    ) -> None:
        self.number = number
        self._partition = TopicPartition(topic, number)
        self._client_options = client_options
        self._on_record = on_record
        self._next: int | None = None
        """Where reading goes on after a fault: an answer that came meanwhile is still waited for."""
        self.reading = asyncio.Event()
        """Set while answers arrive here: a request that is published now is answered here."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns when answers to what is published from now on will be read."""
        self._task = supervised("front_lane", self._read, on_fault=self.reading.clear)
        await self.reading.wait()

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _read(self) -> None:
        consumer = make_consumer(
            **{
                **self._client_options,
                "group_id": None,
                "enable_auto_commit": False,
                "fetch_max_wait_ms": _FETCH_WAIT_MS,
            }
        )
        try:
            await consumer.start()
            consumer.assign([self._partition])
            if self._next is None:
                self._next = (await consumer.end_offsets([self._partition]))[self._partition]
            consumer.seek(self._partition, self._next)
            self.reading.set()
            while True:
                fetched = await consumer.getmany(self._partition, timeout_ms=_POLL_MS)
                for record in fetched.get(self._partition, ()):
                    self._on_record(record)
                    self._next = record.offset + 1
        finally:
            self.reading.clear()
            await consumer.stop()
