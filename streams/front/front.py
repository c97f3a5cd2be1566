"""Requests of HTTP clients: published, waited for, answered."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas.response import Response
from streams.app import producer_options
from streams.front.finder import Finder
from streams.front.ids import RANDOM_BYTES, Where, new_id, read_id
from streams.front.inbound import Inbound
from streams.front.lane import Lane
from streams.front.problems import ProblemError, unavailable
from streams.front.waiting import Waiting
from streams.kafka import closing
from streams.kafka.reconnect import make_producer
from streams.settings import Settings
from topics.headers import CE_ID, REQUEST_ID, request_headers

log = structlog.get_logger("headrace.front")

_SOURCE: Final = "/headrace/front"


class Front:
    """Runs between `async with` and its end. What waits at the end is answered by the fleet, and found by its id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.waiting = Waiting(settings.front.max_waiting)
        client, self._names = settings.kafka.client_options(), settings.topics.names
        topic = self._names.front_responses
        self._lane = Lane(client, topic, random.randrange(settings.front.lanes), self._on_record)
        self._finder = Finder(client, topic, settings.front.lanes)
        self._producer = make_producer(**{**producer_options(settings), "enable_idempotence": True})

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
            self._stack.push_async_callback(closing.stop, self._producer)
            self._stack.push_async_callback(self._lane.stop)
            await self._lane.start()
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

    async def publish(self, inbound: Inbound) -> tuple[str, asyncio.Future[bytes]]:
        """Put the request on the log; its id, and its answer to come. Whoever calls it calls `forget` with the id.

        Raises ProblemError where the broker does not take it: then it is not known to be on the log, and may be sent again.
        """
        if not self.ready:
            raise ProblemError(unavailable("the front reads no answers now", code="front_not_ready"))
        if self.waiting.full:
            raise ProblemError(unavailable("too many requests wait here", code="too_many_waiting", status=429))
        now = datetime.now(UTC)
        where = Where(self._lane.number, int(now.timestamp() * 1000))
        request_id = new_id(inbound.id_prefix, where, secrets.token_bytes(RANDOM_BYTES))
        headers = request_headers(
            event_id=request_id,
            source=_SOURCE,
            time=now,
            reply_to=self._names.front_responses,
            reply_partition=where.lane,
        )
        answer = self.waiting.expect(request_id)
        try:
            record = await self._producer.send_and_wait(
                self._names.topic_of[inbound.priority],
                inbound.value(request_id),
                key=inbound.agent_id.encode(),
                headers=headers,
            )
        except (KafkaError, TimeoutError) as error:
            self.waiting.forget(request_id)
            log.warning("a request could not be published", error=repr(error))
            raise ProblemError(unavailable("the broker does not take requests now", code="not_published")) from error
        except BaseException:
            self.waiting.forget(request_id)
            raise
        self.waiting.published(request_id, f"{record.topic}:{record.partition}:{record.offset}".encode())
        return request_id, answer

    def forget(self, request_id: str) -> None:
        """Nobody waits here for the answer any more."""
        self.waiting.forget(request_id)

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

    def _on_record(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        request_id, event_id = headers.get(REQUEST_ID), headers.get(CE_ID)
        if request_id is not None and event_id is not None and record.value is not None:
            self.waiting.take(request_id.decode("utf-8", "replace"), event_id, record.value)
