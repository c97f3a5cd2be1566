"""The topics read into the index: requests, answers and dead letters, by a consumer of no group.

It goes on where the index says that it was. Each round is read and written in a thread, with the positions behind it, before more
is fetched: so memory is bounded by one round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from ops.ui.index.events import Event, read_event
from ops.ui.index.store import IndexStore
from schemas.limits import ANSWER_RECORD_BYTES, MIB
from streams.backoff import equal_jitter_s, exponential_s
from streams.kafka.batch_reader import CorruptBatchError, HeavyBatchError
from streams.kafka.cluster import cluster_of
from streams.kafka.fetch import Fetch
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import made_anew
from streams.kafka.records import Record
from streams.supervise import end, supervised
from topics.names import TopicNames

log = structlog.get_logger("headrace.ui")

_FETCH_BYTES: Final = 8 * MIB
_MOST_RECORDS: Final = 1_000
"""Of a partition in a round."""
_ROUND_RECORDS: Final = 5_000
_WAIT_S: Final = 0.5
_PAUSE_S: Final = 0.25
"""Between rounds: a request that is answered in the meantime is written once."""
_PARTITIONS_EVERY_S: Final = 10.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.4, 10.0

Fetched = list[tuple[TopicPartition, Sequence[Record]]]


class IndexReader:
    """Keeps an index up to date between `start` and `stop`."""

    def __init__(self, client_options: Mapping[str, Any], names: TopicNames, store: IndexStore) -> None:
        self.lag = 0
        """Records on the topics that are not in the index yet."""
        self.caught_up = asyncio.Event()
        """Set once it has reached the ends that it found when it started."""
        self.version = 0
        """Rises with each batch that was written."""
        self.last_read_at: float | None = None
        """Monotonic time of the last round in which the broker answered."""
        self.problem: str | None = None
        """Why the topics are not read now, in words."""
        self._client_options = client_options
        self._names = names
        self._store = store
        self.places = store.places(names)
        self._next: dict[TopicPartition, int] = {}
        self._wanted: dict[TopicPartition, int] | None = None
        self._made_anew: set[str] = set()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()

    def start(self) -> None:
        """Begin to read, now and for good; a broker that is away is waited for."""
        self._task = supervised("ui_index", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def wait_version(self, seen: int, timeout_s: float) -> bool:
        """Until something was written after the version `seen`; False if that takes longer."""
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self.version > seen)
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        while True:
            try:
                await self._read_until_partitions_change()
            except KafkaError as error:
                self._failures += 1
                self.problem = str(error) or repr(error)
                if self._failures == 1:
                    log.warning("the topics cannot be read now, trying again", error=self.problem)
                await asyncio.sleep(equal_jitter_s(exponential_s(self._failures, _FIRST_RETRY_S, _LAST_RETRY_S)))

    async def _read_until_partitions_change(self) -> None:
        async with log_reader(
            self._client_options,
            isolation_level="read_committed",
            fetch_max_wait_ms=250,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=ANSWER_RECORD_BYTES,
        ) as consumer:
            partitions = await self._partitions(consumer)
            if not partitions:
                raise KafkaError("there are no topics to read; `headrace topics apply` makes them")
            fetch = Fetch(consumer, pause_s=0.05)
            await self._assign(consumer, partitions)
            loop = asyncio.get_running_loop()
            look_again_at = loop.time() + _PARTITIONS_EVERY_S
            while True:
                await self._round(consumer, fetch)
                anew = {topic for topic in {each.topic for each in partitions} if made_anew(consumer, topic)}
                if anew:
                    log.warning("topics were made anew, they are read from their start", topics=sorted(anew))
                    self._made_anew |= anew
                    return
                if loop.time() > look_again_at:
                    look_again_at = loop.time() + _PARTITIONS_EVERY_S
                    if await self._partitions(consumer) not in (partitions, []):
                        return

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Those of requests, dead letters, and all topics of answers, callers' own ones too."""
        names = self._names
        known = await cluster_of(consumer).all_partitions()
        wanted = {*names.requests, *names.all_dead_letters, *names.all_responses}
        return sorted(
            partition
            for topic, found in known.items()
            if topic in wanted or topic.startswith(names.reply_to_prefix)
            for partition in found
        )

    async def _assign(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        stored = await asyncio.to_thread(self._store.positions)
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        consumer.assign(partitions)
        self._next = {}
        for partition in partitions:
            at = -1 if partition.topic in self._made_anew else stored.get(tuple(partition), -1)
            # Behind the end: the topic was made anew since.
            self._next[partition] = at if begins[partition] <= at <= ends[partition] else begins[partition]
            consumer.seek(partition, self._next[partition])
        self._made_anew.clear()
        if self._wanted is None:
            self._wanted = dict(ends)
            left = sum(ends[each] - self._next[each] for each in partitions)
            log.info("reading requests and answers into the index", records=left)
        self._note_progress(consumer)

    async def _round(self, consumer: AIOKafkaConsumer, fetch: Fetch) -> None:
        ready = fetch.ready()
        if not ready:
            await fetch.wait(_WAIT_S)
            self._note_progress(consumer)
            return
        began = time.monotonic()
        fetched: Fetched = []
        positions: dict[tuple[str, int], int] = {}
        room = _ROUND_RECORDS
        for partition in ready:
            try:
                records, position = fetch.take(partition, min(room, _MOST_RECORDS))
            except HeavyBatchError:
                await fetch.unpack(partition)
                continue
            except CorruptBatchError as error:
                log.warning("records cannot be read", partition="{}:{}".format(*partition), error=str(error))
                fetch.distrust(partition)
                continue
            if position is not None:
                positions[tuple(partition)] = position
                fetched.append((partition, records))
                room -= len(records)
            if room <= 0:
                break
        if positions:
            await asyncio.to_thread(self._write, fetched, positions)
            self._next.update({TopicPartition(*each): offset for each, offset in positions.items()})
            self._failures, self.problem = 0, None
            async with self._moved:
                self.version += 1
                self._moved.notify_all()
        self._note_progress(consumer)
        if room > 0:  # not behind: what comes together is written together
            await asyncio.sleep(max(0.0, began + _PAUSE_S - time.monotonic()))

    def _write(self, fetched: Fetched, positions: Mapping[tuple[str, int], int]) -> None:
        """In a thread: values are strangers', and parsing them takes the longest."""
        events = list[Event]()
        for (topic, partition), records in fetched:
            for record in records:
                event = read_event(self.places, topic, partition, record)
                if event is not None:
                    events.append(event)
        self._store.apply(events, positions)

    def _note_progress(self, consumer: AIOKafkaConsumer) -> None:
        self.last_read_at = time.monotonic()
        self.lag = sum(
            max(0, (consumer.last_stable_offset(partition) or 0) - position)
            for partition, position in self._next.items()
        )
        if self._wanted is None or self.caught_up.is_set():
            return
        if all(self._next.get(partition, last) >= last for partition, last in self._wanted.items()):
            log.info("the index is up to date", requests=self._store.total)
            self.caught_up.set()
