"""Spans of a whole way: front and worker tell one trace to a real OTLP receiver, and the provider is called in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.test_front import fronts
from tests.support.collector import Collector, Received, collecting
from tests.support.pipeline import Pipeline, wait_until
from tests.support.positions import read_all

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET = "a prompt that nobody else may read"


def sampled(trace: str = TRACE, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{PARENT}-{flags}", "tracestate": "vendor=1"}


@asynccontextmanager
async def seen_by(pipeline: Pipeline) -> AsyncIterator[list[tuple[str, str]]]:
    """The trace context that the provider was called with, in order; calls go on to the simulator."""
    calls: list[tuple[str, str]] = []
    simulator = pipeline.simulator.url

    async def pass_on(request: web.Request) -> web.Response:
        calls.append((request.headers.get("traceparent", ""), request.headers.get("tracestate", "")))
        url = simulator + request.path.removeprefix("/v1")
        async with session.post(url, data=await request.read()) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/{rest:.*}", pass_on)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipeline.simulator._address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            yield calls
    finally:
        pipeline.simulator._address = simulator.removesuffix("/v1")
        await runner.cleanup()


async def ask(url: str, headers: dict[str, str], text: str = SECRET, **simulated: Any) -> tuple[int, str]:
    body = {"model": "small", "messages": [{"role": "user", "content": text}], "headrace_sim": simulated}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        return answer.status, (await answer.text())


async def spans_of(collector: Collector, trace: str, count: int) -> dict[str, Received]:
    async def there() -> bool:
        return len(collector.of(trace)) >= count

    await wait_until(there, 60)
    return {f"{each.service} {each.kind}": each for each in collector.of(trace)}


@pytest.mark.timeout(120)
async def test_one_request_is_one_trace_from_the_client_to_the_provider(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector, seen_by(pipeline) as calls:
        export: dict[str, Any] = {
            "trace__export__exporter": "otlp",
            "trace__export__endpoint": collector.url,
            "trace__export__share": "0%",
            "metrics__semconv": "both",
        }
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s%20cret")
        async with fronts(pipeline, **export) as serving:
            status, answer = await ask(serving.urls[0], sampled())
            assert status == 200
            found = await spans_of(collector, TRACE, 5)
            server, producer = found["headrace-front server"], found["headrace-front producer"]
            consumer, client = found["headrace-worker consumer"], found["headrace-worker client"]
            assert [server.parent, producer.parent, consumer.parent, client.parent] == [
                PARENT, server.span, producer.span, consumer.span,
            ]  # fmt: skip
            assert found["headrace-worker internal"].parent == consumer.span
            assert (server.name, producer.name) == ("POST /v1/chat/completions", "send agent.requests.normal")
            assert (consumer.name, client.name) == ("process agent.requests.normal", "chat small")
            assert producer.began_ns <= consumer.began_ns <= client.began_ns <= client.ended_ns <= consumer.ended_ns
            assert {each.state for each in found.values()} == {"vendor=1"}
            assert client.attributes["gen_ai.response.finish_reasons"] == ("stop",)
            assert client.attributes["gen_ai.usage.output_tokens"] > 0
            assert consumer.attributes["messaging.kafka.offset"] == producer.attributes["messaging.kafka.offset"]
            assert collector.requests[0]["x-key"] == "s cret"
            assert calls == [(f"00-{TRACE}-{client.span}-01", "vendor=1")]

            assert client.attributes["gen_ai.system"] == client.attributes["gen_ai.provider.name"] == "sim"

            status, _ = await ask(serving.urls[0], sampled("1" * 32), "failing", status=400)
            assert status == 400
            failed = await spans_of(collector, "1" * 32, 5)
            assert failed["headrace-worker consumer"].failed
            assert failed["headrace-worker client"].attributes["error.type"] == "provider_error"
            assert failed["headrace-worker client"].attributes["http.response.status_code"] == 400

            status, _ = await ask(serving.urls[0], sampled("2" * 32))
            assert status == 200
            hit = await spans_of(collector, "2" * 32, 3)
            assert hit["headrace-worker consumer"].events["headrace.cache.hit"] == {"headrace.cache": "memory"}

            await ask(serving.urls[0], sampled("3" * 32, "00"), "not sampled")
            await ask(serving.urls[0], {}, "no context")
        answers = await read_all(pipeline.client_options, ["agent.responses.front"])
        headers = [dict(each.headers) for each in answers]
        assert [each.get("tracestate") for each in headers] == [b"vendor=1"] * 4 + [None]
        assert headers[0]["traceparent"] == f"00-{TRACE}-{producer.span}-01".encode()
        assert "traceparent" in headers[4]
        assert not collector.of("3" * 32)
        assert (calls[-1][0][-3:], calls[-1][1]) == ("-00", "")
        assert calls[-2][0].startswith(f"00-{'3' * 32}-")
        assert calls[-2][0].endswith("-00")
        assert {each.trace for each in collector.spans} == {TRACE, "1" * 32, "2" * 32}
        texts = b"".join(collector.bodies)
        assert SECRET.encode() not in texts
        assert answer not in texts.decode("utf-8", "replace")
