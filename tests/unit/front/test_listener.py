"""Where clients connect: bounds of time and number, and requests that are no HTTP. A real listener, no fleet behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from streams.front.guards import Bounds, receiving
from streams.front.listener import listening
from tests.support.stopwatch import Stopwatch

GET = b"GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n"


@asynccontextmanager
async def serving(
    *, connections: int = 100, head_s: float = 5, body_s: float = 5, idle_s: float = 5
) -> AsyncIterator[tuple[str, int]]:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"bytes": len(await request.read())})

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.json_response({})

    app = web.Application(client_max_size=100_000, middlewares=[receiving(body_s, 1_000)])
    app.add_routes([web.get("/v1/models", models), web.post("/v1/messages", echo), web.get("/v1/slow", slow)])
    bounds = Bounds(connections, head_s, body_s, idle_s)
    async with listening(app, "127.0.0.1", 0, bounds, last_answers_s=1) as url:
        yield "127.0.0.1", int(urlsplit(url).port or 0)


async def said(where: tuple[str, int], *pieces: bytes, every_s: float = 0.0, within_s: float = 10) -> bytes:
    """All that the server says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(every_s)
        async with asyncio.timeout(within_s):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_head_that_trickles_in_is_ended_in_time_however_it_trickles() -> None:
    """A byte now and then held a connection for minutes (xorbitsai/inference#5213): the clock is not reset by a byte."""
    async with serving(head_s=0.3) as where:
        watch = Stopwatch()
        assert await said(where, *[b"G", *[b"x"] * 40], every_s=0.05) == b""
        assert await said(where) == b""  # says nothing at all
        first = GET + b"POST /v1/messages HTTP/1.1\r\nx: "  # the second head of a kept connection never ends
        assert (await said(where, first)).count(b"HTTP/1.1 200") == 1
        assert watch.running_s < 8


async def test_a_body_that_trickles_in_is_refused_in_time_in_the_apis_own_words() -> None:
    async with serving(body_s=0.3) as where:
        head = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\n"
        answer = await said(where, head, b"{", b"}")
        assert b" 408 " in answer
        assert b'"type":"error"' in answer


async def test_a_body_that_would_become_too_many_objects_is_refused_unread() -> None:
    """A MiB of brackets took a second of every client's front. What a body holds in its texts is none of that."""
    async with serving() as where:
        for body, status in (
            (b"[" * 1001, b" 413 "),
            (b'{"":1}' * 600, b" 413 "),
            (b'"' + b"[" * 5000 + b'"', b" 200 "),
        ):
            head = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
                body
            )
            answer = await said(where, head, body)
            assert status in answer
            assert (b"more than 1000 arrays, objects and keys" in answer) == (status == b" 413 ")


async def test_a_connection_that_has_nothing_to_say_is_ended() -> None:
    async with serving(idle_s=0.3) as where:
        watch = Stopwatch()
        assert b" 200 " in await said(where, GET)
        assert watch.passed_s > 0.2
        assert watch.running_s < 5


async def test_a_request_under_way_is_not_idle() -> None:
    async with serving(head_s=0.2, idle_s=0.2) as where:
        assert b" 200 " in await said(where, b"GET /v1/slow HTTP/1.1\r\nhost: a\r\n\r\n")


async def test_connections_that_are_left_open_keep_nobody_out() -> None:
    async with serving(connections=20) as where:
        left = [await asyncio.open_connection(*where) for _ in range(60)]
        await asyncio.sleep(0.1)
        for _ in range(5):
            assert b" 200 " in await said(where, GET[:-2] + b"connection: close\r\n\r\n")
        for _, writer in left:
            writer.close()


async def test_beyond_the_most_that_work_a_connection_is_refused_and_none_under_way_is_harmed() -> None:
    async with serving(connections=3) as where:
        slow = [
            asyncio.create_task(said(where, b"GET /v1/slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
            for _ in "123"
        ]
        await asyncio.sleep(0.3)
        assert await said(where, GET) == b""
        assert all(b" 200 " in answer for answer in await asyncio.gather(*slow))


BROKEN = {
    "length and chunks": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length that is no number": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
    "negative length": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\nabc",
    "bad chunk": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "chunk that lies": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n",
    "gzip that is none": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd",
    "space before colon": b"GET /v1/models HTTP/1.1\r\nhost : a\r\n\r\n",
    "bare line feeds in a header": b"GET /v1/models HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
    "nul in a header": b"GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: hr_\x00\r\n\r\n",
    "many headers": b"GET /v1/models HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 500 + b"\r\n",
    "long header": b"GET /v1/models HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000 + b"\r\n\r\n",
    "long target": b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    "tls to plain": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "http 9": b"GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n",
    "bad method": b"G\xffT /v1/models HTTP/1.1\r\nhost: a\r\n\r\n",
    "huge length": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "huge body": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000,
}  # fmt: skip
ODD = {
    "absolute target": b"GET http://evil.example/v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "bad escapes": b"GET /v1/%ff%fe%00/%zz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "upgrade": b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("request_bytes", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_http_is_refused_and_quoted_nowhere(request_bytes: bytes) -> None:
    async with serving() as where:
        answer = await said(where, request_bytes)
        status = int(answer.split()[1]) if answer else 400
        assert 400 <= status < 500 or status == 505, answer
        assert b"hr_" not in answer
        assert b" 200 " in await said(where, GET[:-2] + b"connection: close\r\n\r\n")


@pytest.mark.parametrize("request_bytes", ODD.values(), ids=ODD)
async def test_what_is_odd_is_no_fault_of_the_fronts(request_bytes: bytes) -> None:
    async with serving() as where:
        answer = await said(where, request_bytes)
        assert not answer or int(answer.split()[1]) < 500, answer


async def test_pipelined_requests_are_answered_in_order_and_bounded() -> None:
    """A client that pipelined without end filled the server's memory (aio-libs/aiohttp#1368)."""
    async with serving() as where:
        answer = await said(where, GET * 300 + GET[:-2] + b"connection: close\r\n\r\n", within_s=20)
        assert answer.count(b"HTTP/1.1 200") == 301


async def test_no_file_descriptor_is_left_behind() -> None:
    async with serving(head_s=0.2) as where:
        before = _files()
        await asyncio.gather(*(said(where, *BROKEN.values()) for _ in range(20)))
        async with asyncio.timeout(60):
            while _files() > before:  # noqa: ASYNC110 - the kernel has no event for us
                await asyncio.sleep(0.05)


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
