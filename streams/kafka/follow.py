"""Partitions of a log, followed by one reader alone: of no group, with nothing committed, from where it says to what comes.

    opened --records--> reading --fault--> (its owner begins again: `run`) --> reading where it stopped
                           \\--the topic was made anew, or what was to come next is gone--> `on_anew`, and from `begin`

What is read is handed on in the order of its partition, at least once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.kafka.batch_reader import CorruptBatchError, HeavyBatchError
from streams.kafka.fetch import Fetch
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import made_anew
from streams.kafka.records import Record

log = structlog.get_logger("headrace.transport")

Take = Callable[[Record], None]

Begin = Callable[[AIOKafkaConsumer, TopicPartition, int, int], Awaitable[int]]
"""The offset to begin with, of a partition that has records from one offset to before another."""

_Read = Iterable[tuple[TopicPartition, Sequence[Record], int | None]]
"""Records, and the offset behind them."""

_POLL_MS: Final = 1000
_FETCH_WAIT_MS: Final = 500
"""A record that comes meanwhile ends the wait."""
_MOST_RECORDS: Final = 500
"""Between two looks at everything else, where batches are read tolerantly."""
_WAIT_S: Final = 0.5


async def from_the_beginning(_consumer: AIOKafkaConsumer, _partition: TopicPartition, first: int, _last: int) -> int:
    return first


class LogFollower:
    """Hands every record to `on_record`; of several partitions what has come of them in the order of `partitions`.

    Args:
        on_record: one for all topics, or each topic's own.
        isolation: `read_committed`, or `read_uncommitted`: then one transaction that stays open holds up nothing.
        on_anew: what was read counts no more, reading begins again.
        on_read: called after each look at the log, with or without records.
        begin: where reading begins, at first and after `on_anew`.
        reset: `earliest` or `latest`: where it goes on when the log loses its place while it is read.
        tolerant: a batch that is corrupt is left out, and one that unpacks to much is unpacked beside the loop.
        pause_s: from one fetch that brings few records to the next, where batches are read tolerantly.
        fetch_bytes: of one fetch, where it is bounded further than by aiokafka.
    """

    def __init__(
        self,
        client_options: Mapping[str, object],
        partitions: Sequence[TopicPartition],
        on_record: Take | Mapping[str, Take],
        *,
        isolation: str = "read_uncommitted",
        on_anew: Callable[[], None] = lambda: None,
        on_read: Callable[[], None] = lambda: None,
        begin: Begin = from_the_beginning,
        reset: str = "earliest",
        tolerant: bool = False,
        pause_s: float = 0.02,
        fetch_bytes: int | None = None,
    ) -> None:
        self._partitions = list(partitions)
        self._on_record = {
            each: on_record[each.topic] if isinstance(on_record, Mapping) else on_record for each in partitions
        }
        self._on_anew = on_anew
        self._on_read = on_read
        self._begin = begin
        self._tolerant = tolerant
        self._pause_s = pause_s
        bounds = (
            {} if fetch_bytes is None else {"fetch_max_bytes": fetch_bytes, "max_partition_fetch_bytes": fetch_bytes}
        )
        self._client_options = client_options
        self._options: dict[str, object] = {
            "isolation_level": isolation,
            "auto_offset_reset": reset,
            "fetch_max_wait_ms": _FETCH_WAIT_MS,
            **bounds,
        }
        self._next: dict[TopicPartition, int] = {}
        """Where reading goes on after a fault."""
        self.reading = asyncio.Event()
        """Set while records arrive: nothing that is written from now on is missed."""
        self.caught_up = asyncio.Event()
        """Set once everything was read that the log held when it was opened."""

    def has_read(self, partition: TopicPartition, offset: int) -> bool:
        """Whether the record at this offset was handed on, or is none that is."""
        return offset < self._next.get(partition, 0)

    async def run(self) -> None:
        """Follow until cancelled. Raises KafkaError, and what `on_record` raises; called again it goes on."""
        while True:
            await self._follow()

    async def _follow(self) -> None:
        """Until a topic is made anew."""
        async with log_reader(self._client_options, **self._options) as consumer:
            poll = self._tolerant_poll(consumer) if self._tolerant else self._poll(consumer)
            stop = await self._open(consumer)
            self.reading.set()
            try:
                while True:
                    if all(self._next[partition] >= offset for partition, offset in stop.items()):
                        self.caught_up.set()
                    read = await poll()
                    if anew := {each.topic for each in self._partitions if made_anew(consumer, each.topic)}:
                        log.warning("a topic was made anew, it is read again", topics=sorted(anew))
                        self._next = {each: at for each, at in self._next.items() if each.topic not in anew}
                        return
                    self._hand_on(read)
                    self._on_read()
            finally:
                self.reading.clear()

    async def _open(self, consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, int]:
        """Begin where reading stopped, or anew; the ends of the partitions as they are now."""
        first, last = await begin_offsets(consumer, self._partitions), await end_offsets(consumer, self._partitions)
        consumer.assign(self._partitions)
        anew = [each for each in self._partitions if not first[each] <= self._next.get(each, -1) <= last[each]]
        if anew:
            self._on_anew()
        for each in anew:
            self._next[each] = await self._begin(consumer, each, first[each], last[each])
        for partition, offset in self._next.items():
            consumer.seek(partition, offset)
        return last

    def _hand_on(self, read: _Read) -> None:
        for partition, records, position in read:
            take = self._on_record[partition]
            for record in records:
                take(record)
                self._next[partition] = record.offset + 1
            if position is not None:
                self._next[partition] = position

    def _poll(self, consumer: AIOKafkaConsumer) -> Callable[[], Awaitable[_Read]]:
        async def poll() -> _Read:
            fetched = await consumer.getmany(*self._partitions, timeout_ms=_POLL_MS)
            return [(each, fetched.get(each, ()), await consumer.position(each)) for each in self._partitions]

        return poll

    def _tolerant_poll(self, consumer: AIOKafkaConsumer) -> Callable[[], Awaitable[_Read]]:
        fetch = Fetch(consumer, pause_s=self._pause_s)

        async def take(partition: TopicPartition) -> _Read:
            try:
                return [(partition, *fetch.take(partition, _MOST_RECORDS))]
            except HeavyBatchError:
                await fetch.unpack(partition)
            except CorruptBatchError as error:
                log.warning("records cannot be read, they are left out", topic=partition.topic, error=str(error))
                fetch.distrust(partition)
            return ()

        async def poll() -> _Read:
            if fetch.ready():
                await asyncio.sleep(0)  # a backlog: others have their turn
            else:
                await fetch.wait(_WAIT_S)
            ready = set(fetch.ready())
            return [each for partition in self._partitions if partition in ready for each in await take(partition)]

        return poll
