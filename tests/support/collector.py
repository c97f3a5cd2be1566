"""A collector of OpenTelemetry: takes OTLP over HTTP, and decodes it with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Received:
    """A span as a collector sees it. Ids are hex; `parent` is empty for the first of a trace."""

    service: str
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    attributes: Mapping[str, Any]
    began_ns: int
    ended_ns: int
    failed: bool
    state: str
    message: str
    events: Mapping[str, Mapping[str, Any]]
    links: Sequence[tuple[str, str, Mapping[str, Any]]]


@dataclass
class Collector:
    """What came, and what is answered: `answer` is asked for each request; by default it is good."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    requests: list[Mapping[str, str]] = field(default_factory=list)
    """Headers, by lower-case names."""
    bodies: list[bytes] = field(default_factory=list)
    answer: Callable[[], Any] = lambda: web.Response(body=ExportTraceServiceResponse().SerializeToString())

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(body)
        answer = self.answer()
        if not isinstance(answer, web.Response):
            answer = await answer
        assert isinstance(answer, web.Response)
        if answer.status == 200:
            self.spans += spans_of(body)
        return answer

    def of(self, trace: str) -> list[Received]:
        return [each for each in self.spans if each.trace == trace]


def spans_of(body: bytes) -> list[Received]:
    """The spans of an export request."""
    decoded = ExportTraceServiceRequest.FromString(body)
    return [
        _received(span, _plain(of.resource.attributes))
        for of in decoded.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def _received(span: Any, resource: Mapping[str, Any]) -> Received:
    return Received(
        resource["service.name"],
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _plain(span.attributes),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        span.trace_state,
        span.status.message,
        {each.name: _plain(each.attributes) for each in span.events},
        [(each.trace_id.hex(), each.span_id.hex(), _plain(each.attributes)) for each in span.links],
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, kind)


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """A collector on loopback."""
    collector = Collector()
    app = web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()
