"""One process of the fleet's control sends dead letters again, each batch in one transaction with how far it is. It also writes
again what is in force and would be forgotten by the topic.

    owner of the samples --a transactional producer, which ends the transactions of the one before--> reads the topic to its end
      --> per batch: letters are gathered, then sent with their outcome, committed at once --> waits as the rate says

A process that is killed leaves at most a transaction that the next one aborts, or the broker after 10 s: until then workers see
nothing behind it on the partitions that it touched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, TransactionalIdAuthorizationFailed
from aiokafka.structs import TopicPartition

from schemas.admin import AdminOutcome, Moved, OutcomeState
from schemas.dead_letter import DeadLetter
from schemas.limits import ANSWER_RECORD_BYTES, MIB
from streams.actions.letters import MOST_TIMES, Again, again, fits, letter_of, times_redriven, why_not
from streams.actions.orders import FleetOrders
from streams.actions.outcomes import outcome_of
from streams.actions.reader import AdminReader
from streams.actions.redrives import RedriveBook, RedriveState
from streams.actions.wire import AdminRecord, Noted, encode
from streams.backoff import equal_jitter_s, exponential_s
from streams.identity import process_id
from streams.kafka import closing
from streams.kafka.cluster import cluster_of
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import make_producer
from streams.kafka.records import Record
from streams.metrics import definitions as metrics
from streams.settings import Settings
from streams.settings.kafka import Kafka
from streams.supervise import end, supervised
from topics.partitioner import contract_partitioner

log = structlog.get_logger("headrace.actions")

_BATCHES_A_SECOND: Final = 2
_MOST_LETTERS: Final = 1_000
_MOST_BYTES: Final = 8 * MIB
"""Of one batch."""
_GATHER_S: Final = 1.0
"""So long letters are looked for before a batch goes, with those that were found."""
_TRANSACTION_MS: Final = 10_000
_FETCH: Final[Mapping[str, Any]] = {"max_partition_fetch_bytes": ANSWER_RECORD_BYTES, "fetch_max_wait_ms": 100}
_LOOK_S: Final = 0.5
_POLL_MS: Final = 100
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0


def redrive_id(kafka: Kafka) -> str:
    """The transactional id of whoever sends a fleet's dead letters again; it may be written by control alone."""
    return f"{kafka.group_id}-redrive"


@dataclass(slots=True)
class _Batch:
    """Letters that go in one transaction, and the redrive's counts with them."""

    sent: int
    skipped: int
    guarded: int
    letters: list[Again] = field(default_factory=list)
    bytes: int = 0

    def take(self, record: Record, letter: DeadLetter | None, *, forced: bool) -> None:
        """The next record that the redrive means. `letter`: None where it cannot be sent again."""
        if letter is None:
            self.skipped += 1
        elif times_redriven(record) >= MOST_TIMES and not forced:
            self.guarded += 1
        else:
            self.sent += 1
            self.bytes += len(record.value or b"")
            self.letters.append(again(record, letter))


class Redriver:
    """Carries redrives out while `owns()`, between `start` and `stop`."""

    def __init__(self, settings: Settings, owns: Callable[[], bool]) -> None:
        self._settings = settings
        self._names = settings.topics.names
        self._options = settings.kafka.client_options()
        self._owns = owns
        self._source = f"/headrace/{process_id()}"
        self._written_next = 0
        self.book = RedriveBook()
        self.orders = FleetOrders()
        self._reader = AdminReader(self._options, self._names.admin, self._note, committed=True, on_anew=self._forget)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when everything is read that the topic holds."""
        await self._reader.start()
        self._task = supervised("redrive", self._run)

    async def stop(self) -> None:
        """Leaves a redrive where it is: another process goes on."""
        if self._task is not None:
            await end([self._task])
        await self._reader.stop()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if self._owns() and self._has_work():
                    await self._work()
                failures = 0
            except (KafkaError, TimeoutError) as error:
                failures += 1
                log.warning("a redrive cannot go on now, trying again", error=self._cause(error))
                await asyncio.sleep(equal_jitter_s(exponential_s(failures, _FIRST_RETRY_S, _LAST_RETRY_S)))
            await asyncio.sleep(_LOOK_S)

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TransactionalIdAuthorizationFailed):
            return f"an ACL is missing, this user needs Write on transactional-id {redrive_id(self._settings.kafka)}"
        return repr(error)

    def _note(self, noted: Noted) -> None:
        self.book.note(noted)
        if not isinstance(noted.record, AdminOutcome):
            self.orders.note(noted.record, noted.at)

    def _forget(self) -> None:
        self.book.clear()
        self.orders.clear()

    def _has_work(self) -> bool:
        return bool(self.book.next() or self.book.answers() or self.orders.fading(time.time()))

    async def _work(self) -> None:
        """Until nothing is left to do, or another process is the owner."""
        async with (
            self._open_producer() as producer,
            log_reader(self._options, isolation_level="read_committed", **_FETCH) as consumer,
        ):
            await self._read_to_the_end(consumer)
            while self._owns():
                if answers := self.book.answers():
                    await self._write(producer, (), *answers)
                elif fading := self.orders.fading(time.time()):
                    await self._write(producer, (), *(order.action for order in fading))
                elif (found := self.book.next()) is not None:
                    await self._redrive(producer, consumer, found)
                else:
                    return
                await self._read_to_the_end(consumer)

    @asynccontextmanager
    async def _open_producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """Its start ends what another process of this fleet has begun and not committed, and lets that one commit no more."""
        kafka = self._settings.kafka
        producer = make_producer(
            **self._options,
            transactional_id=redrive_id(kafka),
            transaction_timeout_ms=_TRANSACTION_MS,
            acks="all",
            max_request_size=ANSWER_RECORD_BYTES,
            partitioner=contract_partitioner,
        )
        try:
            await producer.start()
            yield producer
        finally:
            await closing.stop(producer)

    async def _read_to_the_end(self, consumer: AIOKafkaConsumer) -> None:
        """Until the book has what is committed: by others, and by us, whose last commit may not be seen at the end yet."""
        place = TopicPartition(self._names.admin, 0)
        last = (await end_offsets(consumer, [place]))[place]
        async with asyncio.timeout(_TRANSACTION_MS / 1000 + 5):
            await self._reader.wait_read(max(last, self._written_next))

    async def _redrive(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, found: RedriveState) -> None:
        """Until it has ended or is stopped, or another process is the owner."""
        clock = asyncio.get_running_loop().time
        moved, next_at = await self._begin(consumer, found), clock()
        if found.state is None:
            await self._write(producer, (), self._outcome(found, "running", moved))
        while self._owns():
            if found.stopping:
                await self._write(producer, (), self._outcome(found, "stopped", moved))
                return
            most = max(1, min(_MOST_LETTERS, ceil(found.rate / _BATCHES_A_SECOND)))
            batch, moved, over = await self._gather(consumer, found, moved, most)
            state: OutcomeState = "done" if over else "running"
            await self._write(producer, batch, self._outcome(found, state, moved.model_copy(update={"until": {}})))
            metrics.REDRIVEN.inc(len(batch))
            if over:
                log.info("a redrive is done", action_id=found.action.action_id, sent=moved.sent)
                return
            next_at = max(next_at, clock() - _GATHER_S) + len(batch) / found.rate
            while (left_s := next_at - clock()) > 0 and not found.stopping and self._owns():  # noqa: ASYNC110 - it also looks
                await asyncio.sleep(min(left_s, _LOOK_S))

    async def _begin(self, consumer: AIOKafkaConsumer, found: RedriveState) -> Moved:
        """Where it is; at its first time from the beginning to what was there when it was counted."""
        if found.moved.until:
            return found.moved
        known = await cluster_of(consumer).all_partitions()
        partitions = known.get(self._topic_of(found), [])
        ends = await end_offsets(consumer, partitions)
        asked = found.action.until
        until = {
            str(each.partition): ends[each] if asked is None else min(ends[each], asked.get(str(each.partition), 0))
            for each in partitions
        }
        return Moved(until=until)

    def _topic_of(self, found: RedriveState) -> str:
        """Where its letters are; a tenant that the settings do not have any more has none that could be sent."""
        tenant = found.action.letters.tenant
        return self._names.dead_letters_of(tenant) if not tenant or tenant in self._names.tenants else ""

    async def _gather(
        self, consumer: AIOKafkaConsumer, found: RedriveState, moved: Moved, most: int
    ) -> tuple[list[Again], Moved, bool]:
        """The next batch, how far it leads, and whether nothing is left behind it."""
        clock = asyncio.get_running_loop().time
        ends_at = clock() + _GATHER_S
        batch = _Batch(moved.sent, moved.skipped, moved.guarded)
        partition, next_offset = moved.partition, moved.next_offset
        last = max(map(int, moved.until), default=-1)
        topic, tenant = self._topic_of(found), found.action.letters.tenant
        while partition <= last:
            stop, place = moved.until.get(str(partition), 0), TopicPartition(topic, partition)
            if next_offset < stop:
                first = (await begin_offsets(consumer, [place]))[place]
                next_offset = max(next_offset, first)
            if next_offset >= stop:
                partition, next_offset = partition + 1, 0
                continue
            consumer.assign([place])
            consumer.seek(place, next_offset)
            while next_offset < stop:
                if len(batch.letters) >= most or batch.bytes >= _MOST_BYTES or clock() >= ends_at:
                    break
                fetched = await consumer.getmany(place, timeout_ms=_POLL_MS, max_records=most - len(batch.letters))
                for record in fetched.get(place, ()):
                    if record.offset >= stop:
                        next_offset = stop
                        break
                    next_offset = record.offset + 1
                    letter = letter_of(record)
                    if fits(found.action.letters, self._names, partition, record, letter):
                        if letter is not None and why_not(self._names, record, letter, tenant) is not None:
                            letter = None
                        batch.take(record, letter, forced=found.action.forced)
                    if batch.bytes >= _MOST_BYTES:
                        break
                else:
                    next_offset = max(next_offset, min(stop, await consumer.position(place)))
            if next_offset < stop:
                break
        moved = Moved(
            sent=batch.sent,
            skipped=batch.skipped,
            guarded=batch.guarded,
            partition=partition,
            next_offset=next_offset,
            until=moved.until,
        )
        return batch.letters, moved, partition > last

    async def _write(self, producer: AIOKafkaProducer, batch: Sequence[Again], *records: AdminRecord) -> None:
        """One transaction: begun when everything is at hand, and committed at once, since workers read nothing behind it."""
        async with producer.transaction():
            acks = [await producer.send(each.topic, each.value, each.key, headers=each.headers) for each in batch]
            for record in records:
                made = encode(record, self._source)
                acks.append(
                    await producer.send(self._names.admin, made.value, made.key, partition=0, headers=made.headers)
                )
            acked = await asyncio.gather(*acks)
        self._written_next = max(self._written_next, acked[-1].offset + 1)

    @staticmethod
    def _outcome(found: RedriveState, state: OutcomeState, moved: Moved) -> AdminOutcome:
        made = outcome_of(found.action.action_id, "redrive", state, _words(moved), moved.sent)
        return made.model_copy(update={"moved": moved})


def _words(moved: Moved) -> str:
    more = [
        f"{number} {what}"
        for number, what in ((moved.skipped, "cannot be sent"), (moved.guarded, "were sent again too often already"))
        if number
    ]
    return ", ".join([f"{moved.sent} sent again", *more])
