"""Requests that end because nobody wants them any more: their client has gone, or has said so.

A client that goes away while it waits leaves its request without anybody who would see the answer. After `front.cancel_grace` a
cancel goes to `agent.cancels`; the worker that has the request closes its call. That holds for attached requests alone: what was
asked with `Prefer: respond-async` or an `Idempotency-Key`, or in class low, is to be fetched later; only an explicit cancel ends
it.
A client that comes back in the grace, on this front, by the id, has not gone.

A middleware sees who has gone, whatever the route: aiohttp cancels the handler of a connection that is lost. What the handler has
published stands in a context variable meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiokafka.errors import KafkaError

from schemas.cancel import Cancel
from streams.front.inbound import Inbound
from streams.metrics import definitions as metrics
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.front")

_SOURCE: Final = "/headrace/front"
_MOST_WAITING: Final = 20_000
"""Cancels that wait for their grace or for the broker; the oldest of more go at once, or are given up."""
_AT_ONCE: Final = 20
"""They leave in one batch, which has to fit into what the topic takes: of earlier versions of the contract 16 KiB."""
_KEPT_S: Final = 60.0
"""How long a cancel is tried: a broker that is away for longer has kept its request waiting, too."""
_RETRY_S: Final = 0.5


@dataclass(slots=True, eq=False)
class Trip:
    """A request of one HTTP request. `record` is known once the broker has it."""

    request_id: str
    agent_id: str
    answer: asyncio.Future[bytes]
    is_detached: bool
    record: str | None = None

    def is_answered(self) -> bool:
        return self.answer.done() and not self.answer.cancelled()


@dataclass(slots=True)
class _Visit:
    is_detached: bool
    trips: list[Trip] = field(default_factory=list)


_VISIT: ContextVar[_Visit | None] = ContextVar("visit", default=None)


class Cancelling:
    """`send` puts a cancel on its topic, and raises KafkaError or TimeoutError where the broker does not take it."""

    def __init__(
        self, send: Callable[[Cancel], Awaitable[None]], grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._grace_s = grace_s
        self._clock = clock
        self._gone: OrderedDict[str, tuple[float, Trip]] = OrderedDict()
        """By id: when its client went, in that order."""
        self._came = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("front_cancels", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def close(self) -> None:
        """Clients are sent away from now on: that is no wish of theirs."""
        self._closed = True

    def note(self, inbound: Inbound, request_id: str, answer: asyncio.Future[bytes]) -> Trip:
        """A request is about to be published."""
        visit = _VISIT.get()
        is_detached = inbound.preference.respond_async or inbound.priority == "low"
        trip = Trip(request_id, inbound.agent_id, answer, is_detached or visit is None or visit.is_detached)
        if visit is not None:
            visit.trips.append(trip)
        return trip

    def came_back(self, request_id: str) -> None:
        """Somebody asks for it."""
        self._gone.pop(request_id, None)

    def middleware(self) -> Middleware:
        """For an application: what clients that go away have asked for is cancelled."""

        @web.middleware
        async def leaving(request: web.Request, handler: Handler) -> web.StreamResponse:
            visit = _Visit("Idempotency-Key" in request.headers)
            token = _VISIT.set(visit)
            try:
                return await handler(request)
            except (asyncio.CancelledError, ConnectionError):
                for trip in visit.trips:
                    self._left(trip)
                raise
            finally:  # the next request of this connection runs in the same task
                _VISIT.reset(token)

        return leaving

    def _left(self, trip: Trip) -> None:
        if trip.is_detached or trip.is_answered() or self._closed:
            return
        metrics.FRONT_GONE.inc()
        if len(self._gone) >= _MOST_WAITING:
            self._gone.popitem(last=False)
        self._gone[trip.request_id] = (self._clock(), trip)
        self._came.set()

    async def _run(self) -> None:
        while True:
            due = self._due()
            if due:
                await self._cancel(due)
                continue
            self._came.clear()
            left_s = None
            if self._gone:
                left_s = next(iter(self._gone.values()))[0] + self._grace_s - self._clock()
            try:
                async with asyncio.timeout(None if left_s is None else max(0.001, left_s)):
                    await self._came.wait()
            except TimeoutError:
                pass

    def _due(self) -> list[tuple[float, Trip]]:
        """Those whose grace is over; they stay until their cancels are acked."""
        now, due = self._clock(), list[tuple[float, Trip]]()
        for went_at, trip in self._gone.values():
            if went_at + self._grace_s > now or len(due) == _AT_ONCE:
                break
            due.append((went_at, trip))
        return due

    async def _cancel(self, due: list[tuple[float, Trip]]) -> None:
        sent = await asyncio.gather(
            *(self._send(cancel_of(trip, "the client has gone")) for _, trip in due), return_exceptions=True
        )
        now, failed = self._clock(), False
        for (went_at, trip), error in zip(due, sent, strict=True):
            if error is None or went_at + self._grace_s + _KEPT_S <= now:
                self._gone.pop(trip.request_id, None)
            failed = failed or error is not None
            if error is not None and not isinstance(error, KafkaError | TimeoutError):
                raise error
        if failed:
            log.warning("the broker does not take cancels now", waiting=len(self._gone))
            await asyncio.sleep(_RETRY_S)


def cancel_of(trip: Trip, reason: str) -> Cancel:
    """The cancel of a request that this front has published."""
    return Cancel(
        request_id=trip.request_id,
        agent_id=trip.agent_id,
        record=trip.record,
        requested_by=_SOURCE,
        requested_at=datetime.now(UTC),
        reason=reason,
    )


def cancel_of_id(request_id: str) -> Cancel:
    """The cancel of a request of another front, or of this one before: its id alone names it."""
    return Cancel(
        request_id=request_id,
        requested_by=_SOURCE,
        requested_at=datetime.now(UTC),
        reason="a client asked for it",
    )
