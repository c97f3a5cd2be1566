"""The way to a collector, over real HTTP: one that is down, slow, busy or wrong costs nobody anything but its spans."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from structlog.testing import capture_logs

from streams.metrics import definitions as metrics
from streams.otel import exporter as module
from streams.otel import wire
from streams.otel.environment import collector_of
from streams.otel.exporter import MOST_PAYLOAD_BYTES, MOST_QUEUED, Exporter
from streams.otel.facts import Told
from streams.otel.sender import Sender
from streams.otel.spans import ModelNames, spans_of
from streams.settings.tracing import TraceExport
from tests.support.collector import Collector, collecting
from tests.support.requests import pending, until
from tests.support.stopwatch import Stopwatch
from tests.unit.otel.test_spans import answered, telling

FAST_S = 0.02


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY_S", FAST_S)
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", FAST_S)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", FAST_S)


def one_told() -> Any:
    teller, kept = telling()
    request = pending()
    teller.ended(request, answered(request), 1010.0)
    return kept.told[0]


def count(result: str) -> float:
    return float(metrics.TRACE_EXPORTS.labels(result)._value.get())


@asynccontextmanager
async def exporting(url: str, **variables: str) -> AsyncIterator[Exporter]:
    environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    to = collector_of(TraceExport(endpoint=url), "worker", "1", environ)
    models = ModelNames()

    def encode(batch: Sequence[Told]) -> bytes:
        return wire.encode([span for each in batch for span in spans_of(each, models, "new", "g")], to.resource, "1")  # type: ignore[arg-type]

    exporter = Exporter(Sender(to), encode, wire.refused_of)
    exporter.start()
    try:
        yield exporter
    finally:
        await exporter.stop()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_what_is_told_arrives_and_what_is_queued_at_the_end_too() -> None:
    async with collecting() as collector:
        before = count("sent")
        async with exporting(collector.url, COMPRESSION="gzip", HEADERS="authorization=Bearer%20x,x-a=1") as exporter:
            exporter.put(one_told())
            await until(lambda: len(collector.spans) == 4)
            for _ in range(300):
                exporter.put(one_told())
        assert (len(collector.spans), count("sent") - before) == (4 * 301, 301)
        headers = collector.requests[0]
        assert (headers["authorization"], headers["x-a"]) == ("Bearer x", "1")
        assert (headers["content-type"], headers["content-encoding"]) == ("application/x-protobuf", "gzip")


async def test_a_collector_that_is_down_costs_one_line_and_what_finds_no_room() -> None:
    """open-telemetry/opentelemetry-collector#6172: a line for each attempt, without an end, while the collector is down."""
    told, dropped = one_told(), count("dropped")
    with capture_logs() as logs:
        async with exporting(f"http://127.0.0.1:{closed_port()}") as exporter:
            exporter.put(told)
            await until(lambda: len(logs) == 1)
            watch = Stopwatch()
            for _ in range(MOST_QUEUED + 500):
                exporter.put(told)
            assert watch.running_s < 10
            assert count("dropped") - dropped >= 500
            await asyncio.sleep(20 * FAST_S)
        assert count("dropped") - dropped == MOST_QUEUED + 501
    assert [(each["event"], each["log_level"]) for each in logs] == [("spans are not exported", "warning")]


@pytest.mark.parametrize("answers_never", [True, False])
async def test_a_collector_that_hangs_or_is_busy_holds_no_end_up(
    answers_never: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open-telemetry/opentelemetry-python#3309, #4043: the end waited a minute for a collector that was not there."""
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 60.0)
    gone = asyncio.Event()

    async def hang() -> web.Response:
        await gone.wait()
        return web.Response()

    async with collecting() as collector:
        busy = web.Response(status=503, headers={"Retry-After": "100"})
        collector.answer = hang if answers_never else lambda: busy
        async with exporting(collector.url) as exporter:
            exporter.put(one_told())
            await until(lambda: bool(collector.requests))
            watch = Stopwatch()
            await exporter.stop(within_s=0.3)
            assert watch.running_s < 20
        gone.set()


async def test_a_busy_collector_is_asked_again_not_before_it_says_and_gets_the_same() -> None:
    answers = [web.Response(status=status, headers={"Retry-After": "1"}) for status in (503, 429)]
    at: list[float] = []

    def answer() -> web.Response:
        at.append(time.monotonic())
        return answers.pop() if answers else web.Response()

    async with collecting() as collector, exporting(collector.url) as exporter:
        collector.answer = answer
        with capture_logs() as logs:
            exporter.put(one_told())
            await until(lambda: len(collector.spans) == 4, timeout_s=60)
        assert len(set(collector.bodies)) == 1
        assert at[1] - at[0] >= 1
        assert at[2] - at[1] >= 1
        assert [each["event"] for each in logs] == ["spans are not exported", "spans are exported again"]


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 302])
async def test_what_a_collector_refuses_is_not_sent_again(status: int) -> None:
    before = count("refused")
    async with collecting() as collector, exporting(collector.url) as exporter:
        answers = [web.Response(status=status, headers={"Location": f"{collector.url}/v1/traces"})]
        collector.answer = lambda: answers.pop() if answers else web.Response(body=b"no protobuf at all")
        exporter.put(one_told())
        await until(lambda: count("refused") - before == 1)
        exporter.put(one_told())
        await until(lambda: len(collector.spans) == 4)
        assert len(collector.requests) == 2


async def test_a_partial_success_is_told_and_nothing_is_sent_again() -> None:
    said = ExportTraceServiceResponse()
    said.partial_success.rejected_spans = 3
    said.partial_success.error_message = "too old"
    async with collecting() as collector, exporting(collector.url) as exporter:
        collector.answer = lambda: web.Response(body=said.SerializeToString())
        with capture_logs() as logs:
            exporter.put(one_told())
            await until(lambda: bool(logs))
        assert "refused 3 spans: too old" in logs[0]["why"]
        assert len(collector.requests) == 1


async def test_a_collector_that_comes_back_gets_what_is_queued_by_then() -> None:
    port = closed_port()
    with capture_logs() as logs:
        async with exporting(f"http://127.0.0.1:{port}") as exporter:
            exporter.put(one_told())
            await until(lambda: bool(logs))
            collector: Collector
            async with collecting(port) as collector:
                exporter.put(one_told())
                await until(lambda: len(collector.spans) >= 4)
                await until(lambda: len(logs) == 2)
    assert logs[1]["event"] == "spans are exported again"


async def test_a_fault_of_ours_costs_its_batch_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector, exporting(collector.url) as exporter:
        before, broken = count("dropped"), [True]
        real = exporter._encode

        def encode(batch: Sequence[Told]) -> bytes:
            if broken.pop() if broken else False:
                raise RuntimeError("broken once")
            return real(batch)

        monkeypatch.setattr(exporter, "_encode", encode)
        exporter.put(one_told())
        await until(lambda: count("dropped") - before == 1)
        exporter.put(one_told())
        await until(lambda: len(collector.spans) == 4)


async def test_no_more_of_answers_is_held_than_eight_megabytes() -> None:
    async with exporting(f"http://127.0.0.1:{closed_port()}") as exporter:
        assert exporter.room_for(b"x" * MOST_PAYLOAD_BYTES) != b""
        exporter._payload_bytes = MOST_PAYLOAD_BYTES - 1
        assert exporter.room_for(b"xx") == b""
        exporter._payload_bytes = 0
