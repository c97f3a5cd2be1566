"""Fetched records by the client's public `getmany` alone: slower, and bound to nothing that an upgrade may move.

What it does without: fetch sessions and paced fetches (more CPU where records trickle in), the bound on what a batch unpacks to,
corrupt batches set aside by offset, logs that were cut told by their leaders' epochs, and word of brokers that do not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.fetched import Taken
from streams.kafka.log_epochs import NO_EPOCH
from streams.kafka.records import Record
from streams.kafka.repeats import Repeats

log = structlog.get_logger("headrace.transport")

_SLICE_S: Final = 0.05
"""`getmany` cannot be woken: so long at most `wake` is not heard."""


class PlainFetch:
    """A `Fetched` of one aiokafka consumer. Whoever makes it calls no `getmany`, `pause` or `seek` of that consumer."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._records: dict[TopicPartition, Sequence[Record]] = {}
        self._positions: dict[TopicPartition, int] = {}
        """Behind the last record of each partition that has records here."""
        self._to_start: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._sought: set[TopicPartition] = set()
        """Since the fetch began that is under way: what it brings of them is of an old position."""
        self._woken = False
        self._repeats = Repeats()

    def ready(self) -> Sequence[TopicPartition]:
        assigned = self._consumer.assignment()
        for partition in [each for each in self._records if each not in assigned]:
            self._drop(partition)
        return list(self._records)

    def take(self, partition: TopicPartition, most: int) -> Taken:
        records = self._records[partition]
        if len(records) > most:
            self._records[partition] = records[most:]
            return records[:most], records[most - 1].offset + 1
        position = self._positions[partition]
        self._drop(partition)
        return records, position

    async def unpack(self, partition: TopicPartition) -> bool:
        return partition in self._records

    def distrust(self, partition: TopicPartition) -> None:
        self.fetch_again(partition)

    def fetch_again(self, partition: TopicPartition) -> None:
        records = self._records.get(partition)
        if records:
            self.seek(partition, records[0].offset)

    async def wait(self, timeout_s: float) -> None:
        """See `Fetched`. A refused fetch is told once a minute, and tried again."""
        deadline = time.monotonic() + timeout_s
        while not self._woken and (left_s := deadline - time.monotonic()) > 0:
            try:
                if await self._fetch(min(left_s, _SLICE_S)):
                    break
            except ConsumerStoppedError:
                raise
            except KafkaError as error:
                if times := self._repeats.due("fetch", time.monotonic()):
                    log.warning("a fetch failed, trying again", error=repr(error), times=times)
                await asyncio.sleep(min(left_s, _SLICE_S))
        self._woken = False

    async def _fetch(self, timeout_s: float) -> bool:
        assigned = self._consumer.assignment()
        if self._to_start:
            beginning, self._to_start = self._to_start & assigned, set()
            if beginning:
                await self._consumer.seek_to_beginning(*beginning)
        self._pause(self._records.keys() & assigned, assigned)
        self._sought.clear()
        fetched = await self._consumer.getmany(timeout_ms=round(timeout_s * 1000))
        for partition, records in fetched.items():
            position = await self._consumer.position(partition)
            if partition not in self._sought:
                self._records[partition], self._positions[partition] = records, position
        return bool(self._records.keys() & fetched.keys())

    def _pause(self, left: set[TopicPartition], assigned: frozenset[TopicPartition]) -> None:
        """Fetch nothing more of what is left, and all else."""
        paused = self._paused & assigned
        if opened := paused - left:
            self._consumer.resume(*opened)
        if closed := left - paused:
            self._consumer.pause(*closed)
        self._paused = left

    def wake(self) -> None:
        self._woken = True

    def seek(self, partition: TopicPartition, offset: int, epoch: int = NO_EPOCH) -> None:
        self._to_start.discard(partition)
        self._sought.add(partition)
        self._drop(partition)
        self._consumer.seek(partition, offset)

    def seek_to_start(self, partition: TopicPartition) -> None:
        self._sought.add(partition)
        self._drop(partition)
        self._to_start.add(partition)

    def epoch(self, partition: TopicPartition) -> int:
        return NO_EPOCH

    def stalled_s(self, now: float) -> float:
        return 0.0

    def _drop(self, partition: TopicPartition) -> None:
        self._records.pop(partition, None)
        self._positions.pop(partition, None)
