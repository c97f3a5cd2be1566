"""Trace context of HTTP clients: taken on, passed on with the request's record, and told as spans where settings ask for it.

A client's `traceparent` is the parent of what becomes of its request. Where this front tells spans, two of its own stand between:
the HTTP request, and the record; else the client's goes on as it came.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from xxhash import xxh3_64_intdigest

from streams.front.inbound import Inbound
from streams.metrics import definitions as metrics
from streams.otel.build import Tracing
from streams.otel.context import new_span_id, traceparent
from streams.otel.facts import Served
from topics.headers import TRACEPARENT, TRACESTATE
from topics.trace_context import is_sampled, read_traceparent, read_tracestate

_UNKNOWN_ROUTE: Final = "unknown"
_GONE_STATUS: Final = 499
"""Of a client that went away before its answer, as nginx writes it."""


@dataclass(slots=True, eq=False)
class HttpTrace:
    """The trace context of one HTTP request."""

    parent: bytes | None
    tracestate: bytes | None
    tracing: Tracing
    began_at: float
    trace_id: int = 0
    span_id: int = 0
    producer_id: int = 0
    sampled: bool = False
    inbound: Inbound | None = None
    """What was published; None: nothing was."""
    request_id: str = ""
    topic: str = ""
    record: str = ""
    sent_at: float = 0.0
    acked_at: float = 0.0

    def publishing(self, inbound: Inbound, request_id: str, topic: str) -> None:
        """The request's record is about to be sent."""
        self.inbound, self.request_id, self.topic, self.sent_at = inbound, request_id, topic, time.time()
        contexts = self.tracing.contexts
        if contexts.exports:
            self.span_id, self.producer_id = new_span_id(), new_span_id()
            if self.parent is not None:
                self.trace_id, self.sampled = int(self.parent[3:35], 16), is_sampled(self.parent)
            else:
                low = xxh3_64_intdigest(request_id.encode())
                self.trace_id = (xxh3_64_intdigest(request_id.encode(), 1) << 64 | low) or 1
                self.sampled = contexts.samples(low)

    def published(self, record: str) -> None:
        """The broker has it. `record`: `topic:partition:offset`."""
        self.record, self.acked_at = record, time.time()

    @property
    def traceparent(self) -> bytes | None:
        """That of the record."""
        if not self.producer_id:
            return self.parent
        return traceparent(self.trace_id, self.producer_id, sampled=self.sampled)

    def end(self, method: str, route: str, status: int) -> None:
        """The HTTP request has its answer. Told where it is sampled, was slow or failed."""
        exporter, now = self.tracing.exporter, time.time()
        if exporter is None or self.inbound is None:
            return
        if not (self.sampled or status >= 400 or now - self.began_at >= self.tracing.slow_s):
            return
        if not self.tracing.rate.allows(time.monotonic()):
            metrics.TRACE_EXPORTS.labels("limited").inc()
            return
        exporter.put(
            Served(
                self.trace_id,
                0 if self.parent is None else int(self.parent[36:52], 16),
                self.span_id,
                self.producer_id,
                (self.tracestate or b"").decode(),
                method,
                route,
                status,
                self.began_at,
                now,
                self.request_id,
                self.inbound.agent_id,
                self.inbound.model,
                metrics.GEN_AI_OPERATIONS[self.inbound.operation],
                self.topic,
                self.record,
                self.sent_at,
                self.acked_at or now,
            )
        )


_current: ContextVar[HttpTrace | None] = ContextVar("http_trace", default=None)


def publishing(tracing: Tracing, inbound: Inbound, request_id: str, topic: str) -> HttpTrace:
    """The trace context of the HTTP request that is served now, whose record is about to be sent."""
    trace = _current.get() or HttpTrace(None, None, tracing, time.time())
    trace.publishing(inbound, request_id, topic)
    return trace


def tracing_middleware(tracing: Callable[[], Tracing]) -> Any:
    """The middleware that takes on trace context; what it is around finds it by `publishing`."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        trace = HttpTrace(*_context_of(request), tracing(), time.time())
        token = _current.set(trace)
        status = _GONE_STATUS
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        except Exception:
            status = 500
            raise
        finally:
            _current.reset(token)
            trace.end(request.method, _route_of(request), status)

    return middleware


def _context_of(request: web.Request) -> tuple[bytes | None, bytes | None]:
    """`traceparent` and `tracestate`, where there is one good traceparent."""
    given = request.headers.getall(TRACEPARENT, ())
    parent = read_traceparent(given[0].strip().encode("utf-8", "replace")) if len(given) == 1 else None
    if parent is None:
        return None, None
    states = [each.encode("utf-8", "replace") for each in request.headers.getall(TRACESTATE, ())]
    return parent, read_tracestate(states)


def _route_of(request: web.Request) -> str:
    """The route as it was written, never the path: that has ids in it."""
    resource = request.match_info.route.resource
    return _UNKNOWN_ROUTE if resource is None else resource.canonical
