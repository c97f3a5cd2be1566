"""Spans of a front's request: the HTTP request, and the record that it became, which is the parent of the worker's span. Pure."""

from __future__ import annotations

from streams.otel import names
from streams.otel.facts import Served
from streams.otel.names import Attributes, Semconv
from streams.otel.spans import Span, clip, place

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def front_spans_of(served: Served, semconv: Semconv) -> list[Span]:
    """The HTTP request, then the record."""
    method = served.method if served.method in _METHODS else "HTTP"
    error = str(served.status) if served.status >= 500 else ""
    server: Attributes = {
        names.HTTP_METHOD: served.method if served.method in _METHODS else "_OTHER",
        names.HTTP_ROUTE: clip(served.route),
        names.HTTP_STATUS: served.status,
        names.GEN_AI_OPERATION: served.operation,
        names.REQUEST_MODEL: clip(served.model),
        names.MESSAGE_ID: clip(served.request_id),
        names.AGENT: clip(served.agent_id),
    }
    if error:
        server[names.ERROR_TYPE] = error
    producer: Attributes = {
        names.MESSAGING_SYSTEM: "kafka",
        names.OPERATION_TYPE: "send",
        names.OPERATION_NAME: "send",
        names.MESSAGE_ID: clip(served.request_id),
    }
    place(served.record or served.topic, producer)
    unsent = "" if served.record else "not_published"
    if unsent:
        producer[names.ERROR_TYPE] = unsent
    return [
        Span(
            served.trace_id,
            served.span_id,
            served.parent_id,
            f"{method} {clip(served.route)}",
            "server",
            served.began_at,
            max(served.began_at, served.ended_at),
            names.written(server, semconv),
            error,
            served.tracestate,
        ),
        Span(
            served.trace_id,
            served.producer_id,
            served.span_id,
            f"send {clip(served.topic)}",
            "producer",
            served.sent_at,
            max(served.sent_at, served.acked_at),
            names.written(producer, semconv),
            unsent,
            served.tracestate,
        ),
    ]
