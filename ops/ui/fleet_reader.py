"""The topics of the fleet's own words, read into a view of them without a group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ops.ui.fleet import FleetView, starts
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.ui")

_POLL_MS: Final = 500
_RETRY_S: Final = 2.0
_MOST_RECORDS: Final = 500


class FleetReader:
    """Keeps `view` up to date between `start` and `stop`."""

    def __init__(self, client_options: Mapping[str, Any], view: FleetView) -> None:
        self.view = view
        self.caught_up = asyncio.Event()
        """Set once all that was there at the start has been read."""
        self.problem: str | None = None
        """Why the topics are not read now, in words."""
        self._client_options = client_options
        self._next: dict[TopicPartition, int] = {}
        self._ends: Mapping[TopicPartition, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("ui_fleet", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        while True:
            try:
                async with log_reader(self._client_options, fetch_max_wait_ms=500) as consumer:
                    await self._begin(consumer)
                    while True:
                        await self._round(consumer)
            except KafkaError as error:
                if self.problem is None:
                    log.warning("metrics and decisions cannot be read now, trying again", error=repr(error))
                self.problem = str(error) or repr(error)
                await asyncio.sleep(_RETRY_S)

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        where = {TopicPartition(topic, 0): back for topic, back in starts(self.view.names)}
        begins, ends = await begin_offsets(consumer, where), await end_offsets(consumer, where)
        consumer.assign(list(where))
        now = time.time()
        by_time = {each: round((now - back) * 1000) for each, back in where.items() if isinstance(back, float)}
        found = await consumer.offsets_for_times(by_time)
        self._ends = ends
        for partition, back in where.items():
            if partition in by_time:
                first = ends[partition] if found[partition] is None else found[partition].offset
            else:
                first = max(begins[partition], ends[partition] - int(back))
            known = self._next.get(partition, -1)
            self._next[partition] = known if begins[partition] <= known <= ends[partition] else first
            consumer.seek(partition, self._next[partition])

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        if all(self._next[partition] >= end for partition, end in self._ends.items()):
            self.caught_up.set()
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        for partition, records in fetched.items():
            for record in records:
                self.view.note(partition.topic, record)
            self._next[partition] = records[-1].offset + 1
        self.problem = None
