"""The loops around the leases: the topic is read, demands are written, and grants where this worker was chosen for it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.lease import LeaseMessage, parse_lease
from streams.backoff import equal_jitter_s, exponential_s
from streams.kafka.election import Election
from streams.kafka.list_offsets import end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import made_anew
from streams.limits.route import Route
from streams.limits.worker.shared_budget import SharedBudget
from streams.metrics import definitions as metrics
from streams.supervise import end, supervised
from topics.headers import message_headers

log = structlog.get_logger("headrace.limits")

_LOG_APPEND_TIME: Final = 1
_TICK_SCARCE_S: Final = 0.1
_TICK_S: Final = 0.5
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
_MOST_RECORDS: Final = 500
_LEAVE_S: Final = 1.0


class BrokerTimeError(Exception):
    """The topic does not bear the broker's time: no lease holds."""


class LeaseTopic:
    """Runs the leases of `shared` from `start` to `stop`."""

    def __init__(
        self,
        shared: SharedBudget,
        producer: AIOKafkaProducer,
        client_options: Mapping[str, Any],
        *,
        name: str,
        group_id: str,
        session_timeout_s: float,
    ) -> None:
        self._shared = shared
        self._producer = producer
        self._client_options = client_options
        self._partition = TopicPartition(name, 0)
        self._election = Election(client_options, name, group_id, session_timeout_s, self._on_chosen)
        self._source = f"/headrace/worker/{shared.worker_id}"
        self._next: int | None = None
        self._caught_up = asyncio.Event()
        self._demand_due, self._grant_due = asyncio.Event(), asyncio.Event()
        self._chosen = False
        self._tasks: list[asyncio.Task[None]] = []
        shared.wake = self._demand_due.set

    async def start(self) -> None:
        """Begin. Returns at once; what needs the broker waits for it."""
        self._election.start()
        loops = (self._read, self._send_demands, self._grant)
        self._tasks = [supervised("leases", partial(self._for_good, loop)) for loop in loops]

    async def stop(self) -> None:
        """Leave: another worker is chosen, and what this one has left falls back at once."""
        await self._election.stop()
        await end(self._tasks)
        if self._shared.clock.known:
            farewells = asyncio.gather(*map(self._send_demand, self._shared.leave()), return_exceptions=True)
            with contextlib.suppress(TimeoutError):  # then it falls back a window after its end
                await asyncio.wait_for(farewells, _LEAVE_S)

    async def _for_good(self, loop: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await loop()
            except (KafkaError, OSError, BrokerTimeError) as error:  # without leases no call is made: go on trying
                failures = 0 if asyncio.get_running_loop().time() > began + 60 else failures + 1
                log.warning("leases do not work now, trying again", error=str(error) or repr(error))
            await asyncio.sleep(equal_jitter_s(exponential_s(failures + 1, _FIRST_RETRY_S, _LAST_RETRY_S)))

    # ---- reading

    async def _read(self) -> None:
        async with log_reader(self._client_options) as consumer:
            consumer.assign([self._partition])
            ends = await end_offsets(consumer, [self._partition])
            if self._next is not None and self._next > ends[self._partition]:
                self._begin_anew()
            if self._next is None:
                self._next = await self._begin_at(consumer, ends[self._partition])
            consumer.seek(self._partition, self._next)
            while True:
                if self._next >= ends[self._partition] and not self._caught_up.is_set():
                    self._caught_up.set()
                    self._grant_due.set()
                if made_anew(consumer, self._partition.topic):
                    self._begin_anew()
                    return
                records = await consumer.getmany(self._partition, timeout_ms=500, max_records=_MOST_RECORDS)
                for record in records.get(self._partition, ()):
                    self._take(record)
                self._next = await consumer.position(self._partition)  # records that do not count are passed by

    async def _begin_at(self, consumer: AIOKafkaConsumer, end: int) -> int:
        """Where the reading begins: all that can still count is behind it."""
        now = await self._say_hello()
        rules = self._shared.rules
        since_s = 2 * rules.window_s + rules.lease_s + rules.in_flight_s + rules.margin_s
        first = (await consumer.offsets_for_times({self._partition: round((now - since_s) * 1000)}))[self._partition]
        return end if first is None else int(first.offset)

    async def _say_hello(self) -> float:
        """The first demands: they make this worker known, and tell the broker's time."""
        shared = self._shared
        while not shared.clock.known:
            self._demand_due.set()
            await asyncio.sleep(0.02)
        return shared.clock.earliest()

    def _take(self, record: Any) -> None:
        if self._next is not None and record.offset < self._next:
            self._begin_anew()  # the topic was made anew
        self._next = record.offset + 1
        if record.timestamp_type != _LOG_APPEND_TIME:
            raise BrokerTimeError(_no_clock(self._partition.topic))
        try:
            message = parse_lease(record.value or b"")
        except ValueError as error:
            log.warning("not a lease, left out", offset=record.offset, error=str(error).splitlines()[0])
            return
        self._shared.read(record.offset, record.timestamp / 1000, message)
        self._grant_due.set()

    def _begin_anew(self) -> None:
        log.warning("the topic was made anew, all leases begin again", topic=self._partition.topic)
        self._shared.forget()
        self._shared.grantor.wanted = self._chosen
        self._next = None

    # ---- demands

    async def _send_demands(self) -> None:
        while True:
            due, next_at = self._shared.due()
            if due:
                await asyncio.gather(*map(self._send_demand, due))
                continue
            left_s = next_at - self._shared.clock.running()
            self._demand_due.clear()
            try:
                async with asyncio.timeout(None if left_s == inf else max(0.001, left_s)):
                    await self._demand_due.wait()
            except TimeoutError:
                pass

    async def _send_demand(self, route: Route) -> None:
        clock = self._shared.clock
        demand = self._shared.demand(route)
        acked = False
        try:
            sent = clock.running()
            written = await (await self._send(demand, route.provider))
            if written.timestamp_type != _LOG_APPEND_TIME:
                raise BrokerTimeError(_no_clock(self._partition.topic))
            clock.acked(sent, clock.running(), written.timestamp / 1000)
            acked = True
        finally:
            metrics.LIMIT_DEMANDS.labels("ok" if acked else "failed").inc()
            self._shared.confirmed(route, acked)

    async def _send(self, message: LeaseMessage, key: str) -> asyncio.Future[Any]:
        sending: asyncio.Future[Any] = await self._producer.send(
            self._partition.topic,
            message.to_json(),
            key.encode(),
            headers=message_headers("lease", event_id=uuid.uuid4().hex, source=self._source, time=datetime.now(UTC)),
        )
        return sending

    # ---- granting

    async def _grant(self) -> None:
        shared = self._shared
        await self._caught_up.wait()
        while True:
            grantor = shared.grantor
            now = shared.clock.earliest()
            claim = grantor.claim(now)
            if claim is not None:
                if not grantor.leads:
                    log.info("granting what providers allow", epoch=claim.epoch)
                await self._send(claim, "*")
            for grant in grantor.decide(now):
                await self._send(grant, grant.provider)
            metrics.LIMIT_GRANTOR.set(grantor.wanted and grantor.leads)
            self._grant_due.clear()
            try:
                async with asyncio.timeout(_TICK_SCARCE_S if grantor.scarce else _TICK_S):
                    await (self._grant_due.wait() if grantor.wanted else asyncio.sleep(_TICK_S))
            except TimeoutError:
                pass

    def _on_chosen(self, chosen: bool) -> None:
        self._chosen = self._shared.grantor.wanted = chosen
        self._grant_due.set()


def _no_clock(topic: str) -> ValueError:
    return ValueError(
        f"{topic} does not bear the broker's time: set message.timestamp.type=LogAppendTime "
        "(headrace topics apply --alter-configs)"
    )
