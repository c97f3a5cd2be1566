"""What becomes of a request with an `Idempotency-Key`: it is asked now, it was answered before, or it is under way here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError

from schemas.response import Response
from streams.front.access import admit
from streams.front.deadlines import over
from streams.front.exchange import Beat, Event, Whole
from streams.front.follower import Follower
from streams.front.front import Front
from streams.front.ids import read_id
from streams.front.inbound import Inbound
from streams.front.problems import ProblemError, invalid, unavailable

log = structlog.get_logger("headrace.front")

_ROUNDS: Final = 3
_LONGEST_S: Final = 3600.0
"""No request takes longer: what is not answered by then is not waited for."""


@dataclass(frozen=True, slots=True)
class Mine:
    """It is to be published under this id; nobody else does."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """It was answered before."""

    request_id: str
    response: Response


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Its answer comes on the lane that its id names: this front or another one has published it."""

    request_id: str


async def resolve(front: Front, inbound: Inbound) -> Mine | Earlier | UnderWay:
    """Raises ProblemError where the key is another body's, and where claims cannot be written now.

    A failure that may pass is not kept: the same key may try again then, under a new id. A request of another front's is waited
    for and not published again, unless it never was (unpublished.py): the fleet joins only calls whose answers may be shared.
    """
    key = inbound.idempotency
    assert key is not None
    for _ in range(_ROUNDS):
        failed = None
        if (held := front.claims.holder(key.scope)) is not None:
            request_id, body = held
            if body != key.body:
                message = "this Idempotency-Key was used with another body"
                raise ProblemError(invalid(message, code="idempotency_key_reused", status=422))
            deleted = front.is_deleted(request_id)
            response = None if deleted or request_id in front.waiting else await front.find(request_id)
            if request_id in front.waiting:
                return UnderWay(request_id)
            if not deleted and response is None and front.claims.is_unpublished(request_id):
                return Mine(request_id)
            if not deleted and response is None and _may_come(request_id):
                return UnderWay(request_id)
            if response is not None and (response.error is None or not response.error.retryable):
                return Earlier(request_id, response)
            failed = request_id
        request_id = front.make_id(inbound.id_prefix)
        try:
            await front.claims.claim(key.scope, request_id, key.body, failed)
        except (KafkaError, TimeoutError) as error:
            raise ProblemError(unavailable("the broker takes no claims now", code="not_published")) from error
        if front.claims.holder(key.scope) == (request_id, key.body):
            return Mine(request_id)
    raise ProblemError(unavailable("others use this Idempotency-Key now", code="idempotency_key_in_use", status=409))


def _may_come(request_id: str) -> bool:
    where = read_id(request_id)
    return where is not None and time.time() - where.since_ms / 1000 < _LONGEST_S


class ToldAgain:
    """The events of a request that was asked before: of its whole answer, or as they come. Who asks again waits for its own
    limit, whatever that of the first one was, and ends in `expired` then; the request goes on.
    """

    def __init__(self, front: Front, known: Earlier | UnderWay, inbound: Inbound) -> None:
        self.request_id = known.request_id
        self._front = front
        self._known = known
        self._inbound = inbound
        self._since = time.monotonic()
        self._stack = AsyncExitStack()
        self._events: AsyncIterator[Event] | Iterable[Event] = ()

    async def __aenter__(self) -> Self:
        if isinstance(self._known, Earlier):
            where = read_id(self.request_id)
            self._events = Follower(where.lane if where else 0).whole(self._known.response)
        else:
            self._events = await self._stack.enter_async_context(self._front.replay(self.request_id, None))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def __aiter__(self) -> AsyncIterator[Event]:
        if not isinstance(self._events, AsyncIterator):
            for event in self._events:
                yield event
            return
        limit_s = self._front.own_limit_s(self._inbound)
        clock = asyncio.get_running_loop().time
        ends = None if limit_s is None else clock() + limit_s
        known, quiet = False, True
        while True:
            try:
                async with asyncio.timeout_at(ends) as limit:
                    if quiet and not known:
                        known = await self._is_published()
                    event = await anext(self._events)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not limit.expired():
                    raise
                waited_s = time.monotonic() - self._since
                value = over(self.request_id, self._inbound.agent_id, waited_s, datetime.now(UTC))
                yield Whole(Response.model_validate_json(value))
                return
            quiet = isinstance(event, Beat)
            yield event

    async def _is_published(self) -> bool:
        """Whether the request is known to be on the log. Where it may never have come there, it is looked for, and published.

        Raises nothing that a broker or a key may say: then it is not known.
        """
        lost, key = self._front.unpublished, self._inbound.idempotency
        if key is None or not lost.may_be_lost(key.scope, self.request_id):
            return False
        try:
            if await lost.is_published(admit(self._inbound), self.request_id):
                return True
            if await lost.take_over(self.request_id):
                log.warning("a request that its front claimed and never published is published now", id=self.request_id)
                await self._front.publish_again(self._inbound, self.request_id)
        except (KafkaError, TimeoutError, ProblemError) as error:
            log.warning("whether a request was published cannot be told now", error=repr(error))
        return False
