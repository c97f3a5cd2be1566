"""The lane: the one partition that a front reads of the fronts' topic, and of the deltas, from the moment at which it began."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.kafka.list_offsets import end_offsets
from streams.kafka.reconnect import make_consumer
from streams.supervise import end, supervised

_POLL_MS: Final = 1000
_FETCH_WAIT_MS: Final = 500


class Lane:
    """Hands every record of one partition of each topic to `on_record`, in the order of its partition; what has come of several
    topics in the order of `topics`. It belongs to no group: nobody can take it away.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Sequence[str],
        number: int,
        on_record: Callable[[ConsumerRecord], None],
    ) -> None:
        self.number = number
        self._partitions = [TopicPartition(topic, number) for topic in topics]
        self._client_options = client_options
        self._on_record = on_record
        self._next: dict[TopicPartition, int] = {}
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
            consumer.assign(self._partitions)
            if not self._next:
                self._next = await end_offsets(consumer, self._partitions)
            for partition, offset in self._next.items():
                consumer.seek(partition, offset)
            self.reading.set()
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                for partition in self._partitions:
                    for record in fetched.get(partition, ()):
                        self._on_record(record)
                        self._next[partition] = record.offset + 1
        finally:
            self.reading.clear()
            await consumer.stop()
