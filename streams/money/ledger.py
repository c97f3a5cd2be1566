"""The loops around a worker's desk: the state and the ledger are read, entries and states are written."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.budget import STATE, BudgetRule, LedgerRules, parse_ledger
from schemas.message import Message
from streams.backoff import equal_jitter_s, exponential_s
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import made_anew
from streams.metrics import definitions as metrics
from streams.money.alerts import Mark, begin, tell
from streams.money.books import Books
from streams.money.desk import Desk
from streams.money.states import StateReader, state_of
from streams.supervise import end, supervised
from topics.headers import Headers, message_headers

log = structlog.get_logger("headrace.money")

_LOG_APPEND_TIME: Final = 1
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
_MOST_RECORDS: Final = 500
_BEAT_S: Final = 10.0
"""A worker that holds something is heard of so often: a third of the time after which nobody waits for it."""
_IDLE_S: Final = 60.0
"""After so long without an entry of its own the worker that wrote last has the state written."""
_LEAVE_S: Final = 1.0


class LedgerClockError(Exception):
    """The topic does not bear the broker's time: no period could be told."""


class Ledger:
    """Runs the ledger of `desk` from `start` to `stop`. `rules`: the budgets of the settings, `alerts` their shares."""

    def __init__(
        self,
        desk: Desk,
        producer: AIOKafkaProducer,
        client_options: Mapping[str, Any],
        *,
        ledger: str,
        state: str,
        rules: Sequence[BudgetRule],
        alerts: Mapping[str, Sequence[float]],
        on_mark: Callable[[Mark], None] = lambda _mark: None,
    ) -> None:
        self._on_mark = on_mark
        self._desk = desk
        self._producer = producer
        self._client_options = client_options
        self._partition = TopicPartition(ledger, 0)
        self._state = TopicPartition(state, 0)
        self._rules = list(rules)
        self._alerts = alerts
        for budget, shares in alerts.items():
            begin(budget, shares)
        self._source = f"/headrace/worker/{desk.worker_id}"
        self._due = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._state_due = asyncio.Event()
        self._stated = asyncio.Event()
        self._begun = False
        self._closed = True
        self._spoke_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        desk.wake = self._due.set

    async def start(self) -> None:
        """Begin. Returns at once; reservations wait until the books are known."""
        loops = (self._read, self._write, self._write_states)
        self._tasks = [supervised("budgets", partial(self._for_good, loop)) for loop in loops]

    async def stop(self) -> None:
        """Leave: what is settled and not written yet is written."""
        await end(self._tasks)
        if self._desk.due and self._caught_up.is_set():
            with contextlib.suppress(TimeoutError, KafkaError):  # then it counts as it was set aside
                await asyncio.wait_for(self._send(self._desk.entry(), self._desk.worker_id), _LEAVE_S)

    async def _for_good(self, loop: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await loop()
            except (KafkaError, OSError, LedgerClockError) as error:  # without the ledger no call is made: go on trying
                failures = 0 if asyncio.get_running_loop().time() > began + 60 else failures + 1
                log.warning("the ledger of budgets does not work now, trying again", error=str(error) or repr(error))
            await asyncio.sleep(equal_jitter_s(exponential_s(failures + 1, _FIRST_RETRY_S, _LAST_RETRY_S)))

    # ---- reading

    async def _read(self) -> None:
        books = self._desk.books
        async with log_reader(self._client_options) as consumer:
            if not self._begun:
                books = self._desk.books = await self._read_state(consumer)
                self._begun = True
            consumer.assign([self._partition])
            first = (await begin_offsets(consumer, [self._partition]))[self._partition]
            behind = (await end_offsets(consumer, [self._partition]))[self._partition]
            if books.offset >= behind:
                log.warning("the ledger was made anew: what was spent stays so", topic=self._partition.topic)
                books.offset = -1
            elif first > books.offset + 1:
                log.error(
                    "records of the ledger are gone that no state holds: what was spent in them is not known",
                    topic=self._partition.topic,
                    missing=first - books.offset - 1,
                )
            consumer.seek(self._partition, max(first, books.offset + 1))
            while True:
                if not self._caught_up.is_set() and await consumer.position(self._partition) >= behind:
                    self._caught_up.set()
                if made_anew(consumer, self._partition.topic):
                    books.offset = -1
                    return
                records = await consumer.getmany(self._partition, timeout_ms=500, max_records=_MOST_RECORDS)
                for record in records.get(self._partition, ()):
                    self._take(record)
                self._desk.look_again()

    async def _read_state(self, consumer: AIOKafkaConsumer) -> Books:
        """The books as the newest whole state has them."""
        states = StateReader()
        consumer.assign([self._state])
        behind = (await end_offsets(consumer, [self._state]))[self._state]
        consumer.seek(self._state, (await begin_offsets(consumer, [self._state]))[self._state])
        while await consumer.position(self._state) < behind:
            records = await consumer.getmany(self._state, timeout_ms=500, max_records=_MOST_RECORDS)
            for record in records.get(self._state, ()):
                try:
                    states.note(record.key or b"", STATE.validate_json(record.value or b""))
                except ValueError as error:
                    log.warning("not a state of budgets, left out", offset=record.offset, error=_line(error))
        return states.newest()

    def _take(self, record: Any) -> None:
        if record.timestamp_type != _LOG_APPEND_TIME:
            raise LedgerClockError(
                f"{record.topic} does not bear the broker's time: set message.timestamp.type=LogAppendTime "
                "(headrace topics apply --alter-configs)"
            )
        try:
            message = parse_ledger(record.value or b"")
        except ValueError as error:
            log.warning("not a record of the ledger, left out", offset=record.offset, error=_line(error))
            return
        settled, writes = self._desk.read(record.offset, record.timestamp / 1000, message)
        if isinstance(message, LedgerRules) and message.worker_id == self._desk.worker_id:
            self._stated.set()
        for each in settled:
            tell(each, self._desk.books.amount(each.account), self._alerts.get(each.account[0], ()), self._on_mark)
        if writes:
            self._state_due.set()
        if self._caught_up.is_set():
            self._due.set()

    # ---- writing

    async def _write(self) -> None:
        await self._caught_up.wait()
        desk = self._desk
        if list(desk.books.rules.by_key.values()) != self._rules:
            await self._send(LedgerRules(worker_id=desk.worker_id, rules=self._rules), desk.worker_id)
            await self._stated.wait()
        desk.ready.set()
        desk.look_again()
        while True:
            if desk.due:
                self._closed = False
                await self._say()
                continue
            self._due.clear()
            quiet_s = time.monotonic() - self._spoke_at
            wait_s = _BEAT_S if desk.holds else _IDLE_S if not self._closed else None
            try:
                async with asyncio.timeout(None if wait_s is None else max(0.01, wait_s - quiet_s)):
                    await self._due.wait()
            except TimeoutError:
                self._closed = not desk.holds
                await self._say(closes=self._closed)

    async def _say(self, *, closes: bool = False) -> None:
        """Write one entry; the same one again until the broker has it."""
        entry, failures = self._desk.entry(closes=closes), 0
        while True:
            try:
                await self._send(entry, self._desk.worker_id)
            except KafkaError as error:
                failures += 1
                log.warning(
                    "an entry of the ledger could not be written, trying again", error=str(error) or repr(error)
                )
                await asyncio.sleep(equal_jitter_s(exponential_s(failures, _FIRST_RETRY_S, _LAST_RETRY_S)))
            else:
                self._spoke_at = time.monotonic()
                metrics.BUDGET_ENTRIES.inc()
                return

    async def _write_states(self) -> None:
        while True:
            await self._state_due.wait()
            self._state_due.clear()
            for key, state in state_of(self._desk.books):
                await self._producer.send_and_wait(
                    self._state.topic, state.to_json(), key, headers=self._headers("budget_state")
                )

    async def _send(self, message: Message, key: str) -> None:
        headers = self._headers("budget")
        await self._producer.send_and_wait(self._partition.topic, message.to_json(), key.encode(), headers=headers)

    def _headers(self, message: str) -> Headers:
        return message_headers(message, event_id=uuid.uuid4().hex, source=self._source, time=datetime.now(UTC))


def _line(error: ValueError) -> str:
    return str(error).splitlines()[0]
