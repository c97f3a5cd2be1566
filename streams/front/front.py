"""Requests of HTTP clients: published, waited for, answered."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError

from schemas.cancel import Cancel
from schemas.response import Response
from streams.app import producer_options
from streams.front.access import admit, caller
from streams.front.cancelling import Cancelling
from streams.front.deadlines import Deadlines
from streams.front.exchange import Arrived, Event, Exchange, Inbox
from streams.front.finder import Finder
from streams.front.follower import Cursor
from streams.front.idempotency.claim_log import ClaimLog
from streams.front.idempotency.claims import NO_BODY, deletion_of
from streams.front.idempotency.unpublished import Unpublished
from streams.front.ids import RANDOM_BYTES, Where, new_id, read_id
from streams.front.inbound import Inbound
from streams.front.lane import Lane
from streams.front.problems import ProblemError, invalid, unavailable
from streams.front.replay import Replays
from streams.front.request_state import RequestState
from streams.front.tracing import publishing
from streams.front.waiting import Waiting
from streams.front.watching import Watch
from streams.front.workers import Workers
from streams.kafka import closing
from streams.kafka.reconnect import make_producer
from streams.kafka.records import Record
from streams.otel.build import Tracing, open_tracing
from streams.settings import Settings
from topics.headers import CE_ID, REQUEST_ID, message_headers, request_headers

log = structlog.get_logger("headrace.front")

_SOURCE: Final = "/headrace/front"


class Front:
    """Runs between `async with` and its end. What waits at the end is answered by the fleet, and found by its id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.waiting = Waiting(settings.front.max_waiting)
        self._deadlines = Deadlines.from_settings(settings)
        self.tracing: Tracing
        client, self._names = settings.kafka.client_options(), settings.topics.names
        names = self._names
        topics = {names.deltas: self._on_delta, names.front_responses: self._on_answer}
        # Deltas first: an answer that comes with them ends the stream.
        self._lane = Lane(client, topics, random.randrange(settings.front.lanes))
        self._finder = Finder(client, names, settings.front.lanes)
        self._replays = Replays(client, names)
        self.cancelling = Cancelling(self.cancel, settings.front.cancel_grace)
        self._proofs = settings.fleet.key_proofs()
        self._workers = Workers(client, names.metric_samples)
        self._watch = Watch(self.waiting, self._workers)
        self._producer = make_producer(**{**producer_options(settings), "enable_idempotence": True, "linger_ms": 0})
        self.claims = ClaimLog(client, names.front_claims, self._producer)
        self.unpublished = Unpublished(client, names, self.claims, settings.kafka.request_timeout)

    async def __aenter__(self) -> Self:
        try:
            self.tracing = await open_tracing(self._settings, "front", self._stack)
            await self._producer.start()
            self._stack.push_async_callback(closing.stop, self._producer)
            self._stack.push_async_callback(self._lane.stop)
            self._stack.push_async_callback(self.cancelling.stop)
            self.cancelling.start()
            await self._lane.start()
            self._stack.push_async_callback(self._workers.stop)
            self._workers.start()
            self._stack.push_async_callback(self._watch.stop)
            self._stack.push_async_callback(self.claims.stop)
            await self.claims.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def ready(self) -> bool:
        """Whether answers arrive here, so that requests may be taken."""
        return self._lane.reading.is_set()

    def make_id(self, prefix: str) -> str:
        """A new id, whose answer comes here."""
        where = Where(self._lane.number, int(time.time() * 1000))
        return new_id(prefix, where, secrets.token_bytes(RANDOM_BYTES), caller())

    async def exchange(self, inbound: Inbound, request_id: str | None = None) -> Exchange:
        """Publish a request whose answer is told as it comes. Arguments and what it raises: as `publish`."""
        inbox = Inbox()
        request_id, answer = await self.publish(inbound, inbox, request_id)
        return Exchange(
            request_id, self._lane.number, answer, inbox, self._settings.front.wait, self.forget, self.where
        )

    async def publish(
        self, inbound: Inbound, inbox: Inbox | None = None, request_id: str | None = None
    ) -> tuple[str, asyncio.Future[bytes]]:
        """Put the request on the log; its id, and its answer to come. Whoever calls it calls `forget` with the id.
        `inbox`: where deltas go, which are asked for then. `request_id`: of a request that is asked
        again; else it gets a new one.

        Raises ProblemError for what the caller's key may not ask for, and where the broker does not take it: then it is not known
        to be on the log, and may be sent again.
        """
        inbound = admit(inbound)
        if not self.ready:
            raise ProblemError(unavailable("the front reads no answers now", code="front_not_ready"))
        if self.waiting.full:
            raise ProblemError(unavailable("too many requests wait here", code="too_many_waiting", status=429))
        if inbound.tenant and inbound.tenant not in self._names.tenants:
            raise ProblemError(unavailable("this front does not know the key's tenant", code="tenant_not_known"))
        request_id = request_id or self.make_id(inbound.id_prefix)
        answer = self.waiting.expect(request_id, inbox)
        trip = self.cancelling.note(inbound, request_id, answer)
        try:
            trip.record = await self._send(inbound, request_id, self._lane.number, stream=inbox is not None)
        except (KafkaError, TimeoutError) as error:
            self.waiting.forget(request_id)
            log.warning("a request could not be published", error=repr(error))
            raise ProblemError(unavailable("the broker does not take requests now", code="not_published")) from error
        except BaseException:
            self.waiting.forget(request_id)
            raise
        self.waiting.published(request_id, trip.record.encode())
        self._watch.begin(request_id, inbound.agent_id, self._deadlines.of(inbound))
        return request_id, answer

    async def publish_again(self, inbound: Inbound, request_id: str) -> None:
        """Put a request on the log that a front which died had claimed: under its id, answered where the id says.

        Raises ProblemError for what the caller's key may not ask for, and KafkaError, TimeoutError.
        """
        where = read_id(request_id)
        assert where is not None
        await self._send(admit(inbound), request_id, where.lane, stream=True)

    async def _send(self, inbound: Inbound, request_id: str, lane: int, *, stream: bool) -> str:
        """Its record, `topic:partition:offset`, once the broker has it. Raises KafkaError, TimeoutError."""
        topic, value = self._names.requests_of(inbound.tenant)[inbound.priority], inbound.value(request_id)
        trace = publishing(self.tracing, inbound, request_id, topic)
        headers = request_headers(
            event_id=request_id,
            source=_SOURCE,
            time=datetime.now(UTC),
            reply_to=self._names.front_responses,
            reply_partition=lane,
            stream=stream,
            traceparent=trace.traceparent,
            tracestate=trace.tracestate,
        )
        if self._proofs is not None and (key := caller()) is not None:
            headers.append(self._proofs.header(topic, key, value))
        record = await self._producer.send_and_wait(topic, value, key=inbound.agent_id.encode(), headers=headers)
        named = f"{record.topic}:{record.partition}:{record.offset}"
        trace.published(named)
        return named

    def own_limit_s(self, inbound: Inbound) -> float | None:
        """Seconds that the request may take by its own limit; None where it has none."""
        return self._deadlines.own_of(inbound)

    async def cancel(self, cancel: Cancel) -> None:
        """End a request. Raises KafkaError, TimeoutError where the broker does not take the cancel."""
        headers = message_headers("cancel", event_id=secrets.token_hex(16), source=_SOURCE, time=datetime.now(UTC))
        await self._producer.send_and_wait(
            self._names.cancels, cancel.to_json(), key=cancel.request_id.encode(), partition=0, headers=headers
        )

    async def delete(self, request_id: str) -> None:
        """Mark the answer of a request as deleted, for every front. Raises KafkaError, TimeoutError."""
        await self.claims.claim(deletion_of(request_id), request_id, NO_BODY)

    def is_deleted(self, request_id: str) -> bool:
        """Whether some front was told to delete it, as far as this one has read."""
        return self.claims.holder(deletion_of(request_id)) is not None

    def forget(self, request_id: str) -> None:
        """Nobody waits here for the answer any more."""
        self.waiting.forget(request_id)

    async def where(self, request_id: str) -> RequestState | None:
        """Where a request is that is not answered yet, and why it waits; None where no worker tells. Raises nothing."""
        return await self._workers.ask(request_id, self.waiting.record_of(request_id))

    async def find(self, request_id: str) -> Response | None:
        """The answer to a request of any front's, from the log; None where there is none (yet), or no more.

        Raises ProblemError for an id that no front has given, and where the log cannot be read now.
        """
        where = read_id(request_id)
        if where is None or where.since_ms > (time.time() + 60) * 1000:
            return None
        try:
            value = await self._finder.find(request_id, where)
        except (KafkaError, TimeoutError) as error:
            raise ProblemError(unavailable("the log cannot be read now", code="log_unreadable")) from error
        return None if value is None else Response.model_validate_json(value)

    @asynccontextmanager
    async def replay(self, request_id: str, after: Cursor | None) -> AsyncIterator[AsyncIterator[Event]]:
        """A stream of any front's from the log, behind a place or from its start, and on as it comes.

        Raises ProblemError for an id that no front has given, and where the log cannot be read now.
        """
        where = read_id(request_id)
        if where is None or where.lane >= self._settings.front.lanes or (after and after.lane != where.lane):
            raise ProblemError(invalid("there is no such stream", code="request_not_found", status=404))
        if self._replays.full:
            raise ProblemError(unavailable("too many streams are told again", code="too_many_waiting", status=429))
        try:
            async with self._replays.follow(request_id, where, after, self._settings.front.wait) as events:
                yield events
        except (KafkaError, TimeoutError) as error:
            raise ProblemError(unavailable("the log cannot be read now", code="log_unreadable")) from error

    def _on_delta(self, record: Record) -> None:
        headers = dict(record.headers)
        request_id, event_id = headers.get(REQUEST_ID), headers.get(CE_ID)
        if request_id is not None and event_id is not None and record.value is not None:
            arrived = Arrived(record.offset, headers, record.value)
            self.waiting.take_delta(request_id.decode("utf-8", "replace"), event_id, arrived)

    def _on_answer(self, record: Record) -> None:
        headers = dict(record.headers)
        request_id, event_id = headers.get(REQUEST_ID), headers.get(CE_ID)
        if request_id is not None and event_id is not None and record.value is not None:
            self.waiting.take(request_id.decode("utf-8", "replace"), event_id, record.value)
