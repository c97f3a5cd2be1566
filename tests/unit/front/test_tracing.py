"""Trace context of HTTP clients: taken on where it is good, passed on or continued, and told with what became of the request."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from streams.front.inbound import read_inbound
from streams.front.tracing import publishing, tracing_middleware
from streams.otel.build import Tracing
from streams.otel.context import Contexts
from streams.otel.front_spans import front_spans_of
from streams.otel.teller import Rate
from tests.unit.otel.test_spans import Kept
from tests.unit.topics.test_trace_context import GOOD, SPAN, TRACE

INBOUND = read_inbound(
    "chat.completions", {}, b'{"model": "small", "messages": [{"role": "user", "content": "SECRET"}]}'
)
TOPIC = "agent.requests.normal"


def tracing(*, exports: bool = True, share: float = 0.0) -> tuple[Tracing, Kept]:
    kept = Kept()
    exporter: Any = kept if exports else None
    return Tracing(Contexts(share, 7, exports=exports), exporter, Rate(100, time.monotonic()), 60.0), kept


async def asked(
    of: Tracing, headers: Any, status: int = 200, *, published: bool = True
) -> tuple[bytes | None, bytes | None]:
    """The context of the record that comes of an HTTP request with these headers."""
    found: list[tuple[bytes | None, bytes | None]] = []

    async def ask(request: web.Request) -> web.Response:
        trace = publishing(of, INBOUND, "chatcmpl-1", TOPIC)
        found.append((trace.traceparent, trace.tracestate))
        if published:
            trace.published(f"{TOPIC}:3:14")
        return web.Response(status=status)

    app = web.Application(middlewares=[tracing_middleware(lambda: of)])
    app.router.add_post("/v1/requests/{id}/again", ask)
    async with TestClient(TestServer(app)) as client, client.post("/v1/requests/a-secret-id/again", headers=headers):
        return found[0]


async def test_without_an_export_the_clients_context_goes_on_as_it_came() -> None:
    of, _ = tracing(exports=False)
    headers = {"Traceparent": GOOD.decode(), "Tracestate": "a=1"}
    assert await asked(of, headers) == (GOOD, b"a=1")
    assert await asked(of, {}) == (None, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": GOOD.decode().upper(), "tracestate": "a=1"},
        {"tracestate": "a=1"},
        [("traceparent", GOOD.decode()), ("traceparent", GOOD.decode())],
    ],
)
async def test_a_malformed_or_repeated_context_is_passed_over(headers: Any) -> None:
    of, _ = tracing(exports=False)
    assert await asked(of, headers) == (None, None)


async def test_the_record_hangs_below_the_fronts_spans_and_they_below_the_clients() -> None:
    of, kept = tracing()
    parent, _ = await asked(of, {"traceparent": GOOD.decode()})
    server, producer = front_spans_of(kept.told[0], "new")
    assert parent == f"00-{TRACE}-{producer.span_id:016x}-01".encode()
    assert (producer.parent_id, f"{server.parent_id:016x}") == (server.span_id, SPAN)
    assert (server.name, server.kind) == ("POST /v1/requests/{id}/again", "server")
    assert (producer.name, producer.kind) == (f"send {TOPIC}", "producer")
    assert producer.attributes["messaging.kafka.offset"] == 14
    assert "SECRET" not in str(kept.told) + str((server, producer))
    assert "a-secret-id" not in str(server)


@pytest.mark.parametrize(
    ("flags", "share", "status", "told", "sent"),
    [("01", 0.0, 200, True, b"01"), ("00", 1.0, 200, False, b"00"), ("00", 0.0, 502, True, b"00"), ("00", 0.0, 404, True, b"00"),
     ("", 1.0, 200, True, b"01"), ("", 0.0, 200, False, b"00"), ("", 0.0, 500, True, b"00")],
)  # fmt: skip
async def test_sampled_and_failed_requests_are_told_and_the_worker_is_told_which_are_sampled(
    flags: str, share: float, status: int, told: bool, sent: bytes
) -> None:
    of, kept = tracing(share=share)
    headers = {"traceparent": GOOD.decode()[:-2] + flags} if flags else {}
    parent, _ = await asked(of, headers, status)
    assert parent is not None
    assert (parent[-2:], bool(kept.told)) == (sent, told)
    assert [each.error for served in kept.told for each in front_spans_of(served, "new")[:1]] == (
        [str(status) if status >= 500 else ""] if told else []
    )


async def test_a_record_that_the_broker_did_not_take_is_told_as_a_failed_one() -> None:
    of, kept = tracing()
    await asked(of, {"traceparent": GOOD.decode()}, 503, published=False)
    server, producer = front_spans_of(kept.told[0], "old")
    assert (server.error, producer.error) == ("503", "not_published")
    assert (server.attributes["http.status_code"], producer.attributes["messaging.operation"]) == (503, "publish")


@given(st.text(max_size=3000), st.integers(100, 599))
def test_spans_of_a_front_are_bounded_whatever_a_client_says(text: str, status: int) -> None:
    of, kept = tracing(share=1.0)
    trace = publishing(of, replace(INBOUND, model=text, agent_id=text), text, TOPIC)
    trace.end(text, "/v1/{what}", status)
    for span in front_spans_of(kept.told[0], "both"):
        assert span.name in ("HTTP /v1/{what}", f"send {TOPIC}") or text in ("GET", "POST")
        assert all(len(value) <= 256 for value in span.attributes.values() if isinstance(value, str))
