"""Streams over a socket: no client is cut off in silence, and one that takes nothing holds nothing up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas.response import Response
from streams.front import stream as stream_module
from streams.front.exchange import Delta, Event, Whole
from streams.front.follower import Cursor
from streams.front.stream import write_stream
from tests.unit.front.test_follower import answer, response

TOLD = Delta((b'{"choices": []}',), Cursor(3, 41, 0))


@asynccontextmanager
async def serving(events: Callable[[], AsyncIterator[Event]], ended: list[object]) -> AsyncIterator[TestServer]:
    """A server whose every request is told these events; how each ended is noted."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            told, how = await write_stream(
                request, events(), "r", {"x-headrace-id": "r"}, tells_usage=False, on_failure=_failed
            )
        except BaseException as error:
            ended.append(error)
            raise
        ended.append(how)
        return told

    app = web.Application()
    app.router.add_get("/", handle)
    server = TestServer(app)
    await server.start_server()
    try:
        yield server
    finally:
        await server.close()


def _failed(failed: Response) -> web.StreamResponse:
    return web.Response(status=418, text=failed.status)


async def test_a_stream_ends_once_and_is_not_to_be_buffered() -> None:
    async def events() -> AsyncIterator[Event]:
        yield TOLD
        yield Whole(response(answer({"content": "x"})))

    ended: list[object] = []
    async with (
        serving(events, ended) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url("/")) as told,
    ):
        body = await told.read()
        assert (told.headers["x-accel-buffering"], told.headers["x-headrace-id"]) == ("no", "r")
    assert body == b'id: 3.41.0\ndata: {"choices": []}\n\ndata: [DONE]\n\n'
    assert ended == ["ok"]


async def test_what_fails_first_is_answered_otherwise() -> None:
    async def events() -> AsyncIterator[Event]:
        yield Whole(response(None, "expired"))

    async with serving(events, []) as server, aiohttp.ClientSession() as http, http.get(server.make_url("/")) as told:
        assert (told.status, await told.text()) == (418, "expired")


async def test_a_fault_after_the_first_event_is_told() -> None:
    async def events() -> AsyncIterator[Event]:
        yield TOLD
        raise ValueError("an answer that cannot be read")

    ended: list[object] = []
    async with (
        serving(events, ended) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url("/")) as told,
    ):
        body = await told.read()
    assert body.count(b'"code":"internal"') == 1
    assert b"[DONE]" not in body
    assert ended == ["broken"]


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_MOST_STALLED_S", 0.3)

    async def events() -> AsyncIterator[Event]:
        while True:
            yield Delta((b'{"choices": []}' + b" " * 500_000,), Cursor(3, 41, 0))

    ended: list[object] = []
    async with serving(events, ended) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(30):
            while not ended:  # noqa: ASYNC110 - the server's handler has no event for us
                await asyncio.sleep(0.05)
        writer.close()
    assert isinstance(ended[0], ConnectionResetError)
    assert reader is not None
