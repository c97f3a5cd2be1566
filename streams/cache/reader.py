"""What every worker cached, read from `cache.entries` into this worker's table.

A plain consumer without a group, so that every worker reads all partitions. It goes on where the table's positions say, and
writes each fetch with the positions behind it in one go: what is before a position is in the table, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.cache_entry import EXPIRES_AT_MS
from schemas.limits import MIB
from streams.backoff import equal_jitter_s, exponential_s
from streams.cache.disk import DiskTable, Entry
from streams.cache.errors import StoreClosedError, StoreError
from streams.cache.layout import MAX_KEY_BYTES, Positions
from streams.kafka.batch_reader import CorruptBatchError, HeavyBatchError
from streams.kafka.cluster import cluster_of
from streams.kafka.fetch import Fetch
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import made_anew
from streams.kafka.records import Record
from streams.supervise import end, supervised
from topics.headers import CE_SOURCE

log = structlog.get_logger("headrace.cache")

_FETCH_BYTES: Final = 8 * MIB
_PARTITION_FETCH_BYTES: Final = MIB
_MOST_RECORDS: Final = 2_000
_WAIT_S: Final = 0.5
_PAUSE_S: Final = 0.05
"""Between fetches: another worker's answers may come in company, where each by itself would cost a fetch."""
_MOST_WAITING: Final = 100
_FIRST_RETRY_S, _LAST_RETRY_S = 0.4, 10.0


@dataclass(slots=True)
class ReadCounts:
    """Records since the start."""

    stored: int = 0
    expired: int = 0
    deleted: int = 0
    unreadable: int = 0
    """Without a key, with one that is too long, or without a legible `expires_at_ms`."""


class EntryReader:
    """Keeps a table up to date. `start` it, and await `caught_up` before the worker calls itself ready.

    `on_entries(keys)` is called for entries that are in the table now and came from another worker, or were deleted: what
    memory holds of them is old. `source` is this worker's, as its publisher has it.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        table: DiskTable,
        *,
        source: bytes,
        on_entries: Callable[[Sequence[bytes]], None],
        now: Callable[[], float],
        ready_within_s: float,
        topic: str,
        partitions_every_s: float = 10.0,
    ) -> None:
        self.counts = ReadCounts()
        self.caught_up = asyncio.Event()
        """Set when the reader has reached the ends that it found when it started, or after `ready_within_s`."""
        self.lag = 0
        """Records on the topic that are not in the table yet."""
        self._client_options = client_options
        self._table = table
        self._source = source
        self._on_entries = on_entries
        self._now = now
        self._ready_within_s = ready_within_s
        self._topic = topic
        self._partitions_every_s = partitions_every_s
        self._next: Positions = {}
        self._wanted: Positions | None = None
        self._failures = 0
        self.store_failed = False
        """Whether the table took nothing at the last try."""
        self._begins_anew = False
        self._task: asyncio.Task[None] | None = None
        self._when_read: list[tuple[Mapping[int, int], Callable[[], None]]] = []

    def when_read(self, until: Mapping[int, int], tell: Callable[[], None]) -> None:
        """Have `tell` called once everything before these offsets, by partition, is in the table; maybe at once.

        Raises ValueError where too many wait.
        """
        if len(self._when_read) >= _MOST_WAITING:
            raise ValueError("too many wait for the cache's topic to be read")
        self._when_read.append((until, tell))
        self._tell_who_waits()

    def start(self) -> None:
        """Begin to read, now and for good; a broker that is away is waited for."""
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(self._ready_within_s, self._go_on_cold)
        self._task = supervised("cache_reader", self._run)

    async def stop(self) -> None:
        if self._task is None:
            return
        self._late.cancel()
        await end([self._task])

    def _go_on_cold(self) -> None:
        if not self.caught_up.is_set():
            log.warning("not all cached answers are read yet, working without them", lag=self.lag, topic=self._topic)
            self.caught_up.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._read_until_partitions_change()
            except StoreClosedError:
                return
            except Exception as error:  # the cache is no reason to end a worker
                await self._back_off(error)

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "cached answers of other workers are not read now, trying again", error=str(error) or repr(error)
            )
        self.store_failed = isinstance(error, StoreError)
        await asyncio.sleep(equal_jitter_s(exponential_s(self._failures, _FIRST_RETRY_S, _LAST_RETRY_S)))
        if self.store_failed:
            try:
                await self._table.reopen()  # RocksDB writes nothing after a full disk until then
            except StoreError:
                return  # the next round tries again, however long there is no room
            if self._failures > 1:
                log.info("the cache store is open again", after_failures=self._failures)

    async def _read_until_partitions_change(self) -> None:
        async with log_reader(
            self._client_options,
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
        ) as consumer:
            partitions = await self._partitions(consumer)
            if not partitions:
                raise KafkaError(f"the topic {self._topic} is not there; `headrace topics apply` makes it")
            fetch = Fetch(consumer, pause_s=_PAUSE_S)
            await self._assign(consumer, partitions)
            loop = asyncio.get_running_loop()
            look_again_at = loop.time() + self._partitions_every_s
            while True:
                await self._take_fetched(consumer, fetch)
                if made_anew(consumer, self._topic):
                    log.warning("the topic was made anew, cached answers are read from its start", topic=self._topic)
                    self._begins_anew = True
                    return
                if loop.time() > look_again_at:
                    look_again_at = loop.time() + self._partitions_every_s
                    if await self._partitions(consumer) not in (partitions, []):
                        return

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """All partitions of the topic, looked up without asking for it by name, which might create it."""
        return (await cluster_of(consumer).all_partitions()).get(self._topic, [])

    async def _assign(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        stored = await self._table.positions()
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        consumer.assign(partitions)
        self._next = {}
        for partition in partitions:
            at = -1 if self._begins_anew else stored.get(partition, -1)
            # Behind the end: the topic was made anew since.
            self._next[partition] = at if begins[partition] <= at <= ends[partition] else begins[partition]
            consumer.seek(partition, self._next[partition])
        self._begins_anew = False
        if self._wanted is None:
            self._wanted = dict(ends)
            log.info(
                "reading cached answers", topic=self._topic, records=sum(ends[p] - self._next[p] for p in partitions)
            )
        self._check_caught_up()

    async def _take_fetched(self, consumer: AIOKafkaConsumer, fetch: Fetch) -> None:
        ready = fetch.ready()
        if not ready:
            await fetch.wait(_WAIT_S)
            return
        entries: list[Entry] = []
        news: list[bytes] = []
        positions: Positions = {}
        for partition in ready:
            try:
                records, position = fetch.take(partition, _MOST_RECORDS)
            except HeavyBatchError:
                await fetch.unpack(partition)
                continue
            except CorruptBatchError as error:  # an answer less in the cache
                log.warning("cached answers cannot be read", partition="{}:{}".format(*partition), error=str(error))
                fetch.distrust(partition)
                continue
            if position is not None:
                positions[partition] = position
                self._sort(records, entries, news)
        if not positions:
            return
        await self._table.put_many(entries, positions)
        self.store_failed = False
        self._next.update(positions)
        self._note_lag(consumer)
        if news:
            self._on_entries(news)
        self._tell_who_waits()
        if self._failures:
            self._failures = 0
            log.info("cached answers of other workers are read again", topic=self._topic)
        self._check_caught_up()

    def _tell_who_waits(self) -> None:
        waiting, self._when_read = self._when_read, []
        for until, tell in waiting:
            if all(self._next.get((self._topic, number), 0) >= offset for number, offset in until.items()):
                tell()
            else:
                self._when_read.append((until, tell))

    def _sort(self, records: Sequence[Record], entries: list[Entry], news: list[bytes]) -> None:
        """Turn records into entries; keys that this worker did not write itself go to `news`."""
        now_ms = self._now() * 1000
        counts = self.counts
        for record in records:
            key, value = record.key, record.value
            headers = dict(record.headers)
            expires_at_ms = _number(headers.get(EXPIRES_AT_MS))
            if not key or len(key) > MAX_KEY_BYTES or (value is not None and expires_at_ms is None):
                counts.unreadable += 1
                continue
            if value is None:
                counts.deleted += 1
                entries.append(Entry(key, None))
                news.append(key)
            elif expires_at_ms is None or expires_at_ms <= now_ms:
                counts.expired += 1
                entries.append(Entry(key, None))  # an older one under this key is replaced, not brought back
            else:
                counts.stored += 1
                entries.append(Entry(key, value, expires_at_ms / 1000))
                if headers.get(CE_SOURCE) != self._source:
                    news.append(key)

    def _note_lag(self, consumer: AIOKafkaConsumer) -> None:
        self.lag = sum(
            max(0, (consumer.last_stable_offset(TopicPartition(*partition)) or 0) - position)
            for partition, position in self._next.items()
        )

    def _check_caught_up(self) -> None:
        if self.caught_up.is_set() or self._wanted is None:
            return
        if all(self._next.get(partition, end) >= end for partition, end in self._wanted.items()):
            log.info("cached answers are read", stored=self.counts.stored, expired=self.counts.expired)
            self.caught_up.set()


def _number(text: bytes | None) -> int | None:
    """A decimal header's number; None for anything else, and for numbers that no clock shows."""
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else None
