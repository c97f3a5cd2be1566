"""Answers and streams as servers really send them, read by the client over real HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson
import pytest

from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.wire import Answer, Asked, Failure
from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.body import Traffic
from streams.providers.http.client import EndpointClient, Limits
from streams.providers.http.memory import ReadBuffers
from tests.integration.provider_rig import over_aiohttp
from tests.support.stopwatch import Stopwatch
from tests.unit.providers.answer_grammar import CHAT, Case, cut, mutated_case

FUZZED = 5_000 if os.environ.get("TEST_FULL") == "1" else 300
MOST_BYTES = 2_000_000
LIMITS = Limits(MOST_BYTES)
GIVEN_PER_S = 10_000_000
"""The default of `bandwidth`."""

Reply = Callable[[asyncio.StreamWriter], Any]


def head(content_type: str | None, *more: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", "connection: close", *more]
    return "\r\n".join([*lines, *([f"content-type: {content_type}"] if content_type else []), "", ""]).encode()


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    value = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return b"data: " + orjson.dumps(value) + b"\n\n"


STREAM = chunk({"content": "fi"}) + chunk({"content": "ne"}) + chunk({}, "stop") + b"data: [DONE]\n\n"
WHOLE = orjson.dumps({"choices": [{"index": 0, "message": {"content": "fine"}, "finish_reason": "stop"}]})


@asynccontextmanager
async def server(reply: Reply) -> AsyncIterator[str]:
    """Answers every call with what `reply` writes, and then closes the connection."""

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            length = request.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            await reply(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
    finally:
        running.close()


async def call(
    reply: Reply,
    *,
    stream: bool = True,
    bandwidth: float | None = None,
    case: Case | None = None,
    limits: Limits = LIMITS,
) -> Answer | Failure:
    traffic = Traffic(Bandwidth(bandwidth), ReadBuffers(50_000_000, MOST_BYTES))
    async with server(reply) as url, over_aiohttp() as transport:
        wire, asked = (case.wire, case.asked) if case else (OpenaiFormat(), CHAT)
        client = EndpointClient("p", url, transport, wire, limits, traffic)
        found, _ = await client.call(asked, b"{}", 10, stream=stream, on_headers=lambda headers: None)
    assert traffic.buffers.held == 0
    return found


def sending(*pieces: bytes) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return reply


def content(found: Answer | Failure) -> Any:
    assert isinstance(found, Answer), found
    return orjson.loads(found.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("text/event-stream", STREAM, id="as it should be"),
        pytest.param("application/json", STREAM, id="openclaw#96497: events under a JSON type"),
        pytest.param("application/octet-stream", STREAM, id="tinyagents#56: events under a binary type"),
        pytest.param("text/plain; charset=utf-8", b"\xef\xbb\xbf" + STREAM, id="events as a text with a byte order mark"),
        pytest.param(None, b": ping\n\n" + STREAM, id="no type, and a comment first"),
        pytest.param("application/json", b": OPENROUTER PROCESSING\n\n" * 3 + WHOLE, id="dive#206: JSON behind comments"),
        pytest.param("text/event-stream", WHOLE, id="9router#3492: JSON under the type of streams"),
        pytest.param("application/json", b"\n \n" + WHOLE, id="tinyagents#56: stream ignored"),
        pytest.param("text/event-stream", WHOLE + b"\ndata: [DONE]\n\n", id="9router#3492: JSON with a stream's end"),
        pytest.param("text/event-stream", STREAM.partition(b"data: [DONE]")[0][:-2], id="openai-node#2725: no blank line"),
        pytest.param("text/event-stream", STREAM.replace(b"\n", b"\r"), id="carriage returns"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
async def test_what_comes_is_told_by_what_it_is_and_not_by_its_type(
    stream: bool, content_type: str | None, body: bytes
) -> None:
    pieces = [body[:1], body[1:20], body[20:]]
    assert content(await call(sending(head(content_type), *pieces), stream=stream)) == "fine"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_page_is_the_endpoints_illness_and_was_not_paid_for(stream: bool) -> None:
    page = b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head></html>"
    found = await call(sending(head("text/html; charset=UTF-8"), page), stream=stream)
    assert isinstance(found, Failure)
    assert (found.fault, found.charged, found.unusable) == ("illness", False, False)
    assert "Just a moment..." in found.message


async def test_an_answer_that_is_whole_is_one_though_its_connection_breaks() -> None:
    broken = sending(head("text/event-stream", "content-length: 100000"), STREAM)
    assert content(await call(broken)) == "fine"


async def test_an_answer_that_is_whole_is_one_though_its_connection_stays_open() -> None:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream") + STREAM)
        await writer.drain()
        await asyncio.sleep(30)

    watch = Stopwatch()
    assert content(await call(reply)) == "fine"
    assert watch.running_s < 8


async def test_a_stream_that_breaks_inside_is_a_broken_answer() -> None:
    found = await call(sending(head("text/event-stream", "content-length: 100000"), STREAM[:100]))
    assert isinstance(found, Failure)
    assert (found.fault, found.charged) == ("illness", True)


@pytest.mark.parametrize(
    "piece", [b"x" * 100_000, b"data: " + b"x" * 99_994, b"data: x\n" * 12_500], ids=["a line", "an event", "lines"]
)
async def test_what_has_no_end_is_bounded(piece: bytes) -> None:
    found = await call(sending(head("text/event-stream"), b"data: ", *[piece] * 100))
    assert isinstance(found, Failure)
    assert found.type == "answer_too_large"


async def test_a_streamed_megabyte_does_not_wait_for_bandwidth() -> None:
    """Its events are some sixty times its text: charged as they come, it would wait 6 s."""
    stream = b"".join(chunk({"content": "abcd"}) for _ in range(250_000)) + chunk({}, "stop")
    pieces = [stream[start : start + 65536] for start in range(0, len(stream), 65536)]
    watch = Stopwatch()
    unlimited = content(await call(sending(head("text/event-stream"), *pieces)))
    unlimited_s = watch.passed_s
    watch = Stopwatch()
    assert content(await call(sending(head("text/event-stream"), *pieces), bandwidth=GIVEN_PER_S)) == unlimited
    assert len(unlimited) == 1_000_000
    assert watch.running_s < 2 * unlimited_s + 3


async def test_a_streamed_answer_is_charged_for_what_it_brings_and_waiting_for_it_is_no_silence() -> None:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream") + b"".join(chunk({"content": "x" * 1000}) for _ in range(150)))
        await writer.drain()
        await asyncio.sleep(1.5)
        writer.write(chunk({}, "stop"))

    watch = Stopwatch()
    found = await call(reply, bandwidth=100_000, limits=Limits(MOST_BYTES, stream_idle_s=0.4))
    assert len(content(found)) == 150_000
    assert watch.passed_s > 1.3


async def test_a_mutated_answer_over_http_ends_as_one_answer_or_one_failure() -> None:
    random = Random(7)
    current: list[Case] = []

    async def reply(writer: asyncio.StreamWriter) -> None:
        case = current[-1]
        kind = random.choice(("text/event-stream", "application/json", "text/plain"))
        length = random.choice((len(case.body), len(case.body) + 9, None))
        writer.write(head(kind, *([f"content-length: {length}"] if length is not None else [])))
        for piece in cut(random, case.body):
            writer.write(piece)
            if random.random() < 0.02:
                await writer.drain()
                await asyncio.sleep(0)

    traffic, ends = Traffic(Bandwidth(None), ReadBuffers(50_000_000, MOST_BYTES)), {"answer": 0, "failure": 0}
    async with server(reply) as url, over_aiohttp() as transport:
        for _ in range(FUZZED):
            current.append(case := mutated_case(random))
            client = EndpointClient("p", url, transport, case.wire, LIMITS, traffic)
            found, _ = await client.call(case.asked, b"{}", 10, stream=case.streamed, on_headers=lambda headers: None)
            assert isinstance(found, Answer | Failure)
            ends["answer" if isinstance(found, Answer) else "failure"] += 1
            assert traffic.buffers.held == 0
    assert min(ends.values()) > FUZZED / 10, ends


async def test_embeddings_are_never_read_as_a_stream_of_chat() -> None:
    body = orjson.dumps({"data": [{"index": 0, "embedding": [0.5]}]})
    case = Case(OpenaiFormat(), Asked("embeddings"), body, False)
    assert isinstance(await call(sending(head("application/json"), body), stream=False, case=case), Answer)
