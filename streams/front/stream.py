"""Events of an exchange as server-sent events of a chat completion.

Chunks as the provider made them, each with its place as `id`; a comment every 10 s while nothing comes; one end: `data: [DONE]`,
or an error object. The head of the response waits for the first of them, for 10 s at most, because SDKs try again by the status
alone.
Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from functools import partial
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from schemas.response import Response
from streams.front.exchange import Beat, Broken, Delta, Event, Faulted, Restarted, StillWaits, Whole
from streams.front.problems import Problem, problem_of

log = structlog.get_logger("headrace.front")

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
"""The last two switch off compression and buffering of proxies: of nginx and of what is built on it."""

DONE: Final = b"data: [DONE]\n\n"
BEAT: Final = b": waiting\n\n"
_MOST_STALLED_S: Final = 60.0
"""A client that takes nothing for so long is gone; its answer is on the log."""
_SMALL_BYTES: Final = 32 * 1024
"""Less than what a connection takes in (64 KiB) before whoever writes is made to wait."""


async def write_stream(
    request: web.Request,
    events: AsyncIterable[Event],
    request_id: str,
    headers: Mapping[str, str],
    *,
    tells_usage: bool,
    on_failure: Callable[[Response], web.StreamResponse],
) -> tuple[web.StreamResponse, str]:
    """Tell the events to an OpenAI client; see `write_events`."""
    return await write_events(
        request, events, partial(sse, request_id=request_id, tells_usage=tells_usage), headers, on_failure=on_failure
    )


async def write_events(
    request: web.Request,
    events: AsyncIterable[Event],
    bytes_of: Callable[[Event], bytes],
    headers: Mapping[str, str],
    *,
    on_failure: Callable[[Response], web.StreamResponse],
) -> tuple[web.StreamResponse, str]:
    """Tell the events to the client; what it was answered with, and how it ended: a status of the contract, or `broken`.

    `bytes_of`: an event in the words of its API. `on_failure` makes the response of a request that failed before anything was
    told.
    """
    stream: web.StreamResponse | None = None
    try:
        async for event in events:
            if stream is None:
                if isinstance(event, Whole) and (event.response.error is not None or event.response.payload is None):
                    return on_failure(event.response), event.response.status
                stream = web.StreamResponse(headers={**STREAM_HEADERS, **headers})
                await stream.prepare(request)
            await _write(request, stream, bytes_of(event))
            if isinstance(event, Whole | Broken | StillWaits):
                await stream.write_eof()
                return stream, event.response.status if isinstance(event, Whole) else "broken"
    except ConnectionError:
        raise
    except Exception:
        if stream is None:
            raise
        log.exception("a stream broke in the front", request_id=headers.get("x-headrace-id"))
    if stream is None:
        raise AssertionError("an exchange that told nothing")
    await _write(request, stream, bytes_of(Faulted()))  # whatever it was, no stream is cut in silence
    await stream.write_eof()
    return stream, "broken"


def sse(event: Event, request_id: str, *, tells_usage: bool) -> bytes:
    """One event as server-sent events."""
    match event:
        case Delta(chunks, (lane, offset, number)):
            if len(chunks) == 1:
                return b"id: %d.%d.%d\ndata: %b\n\n" % (lane, offset, number, chunks[0])
            return b"".join(
                b"id: %d.%d.%d\ndata: %b\n\n" % (lane, offset, number + index, chunk)
                for index, chunk in enumerate(chunks)
            )
        case Beat():
            return beat(event)
        case Restarted(cursor):
            return b"event: restarted\nid: %b\ndata: %b\n\n" % (cursor.encode(), _restarted(request_id))
        case Whole(response) if response.error is None and response.payload is not None:
            return (_usage(response.payload) if tells_usage else b"") + DONE
        case Whole(response):
            problem = problem_of(response)
        case Broken():
            problem = broken(request_id)
        case StillWaits():
            problem = still_waits(request_id)
        case Faulted():
            problem = faulty(request_id)
    return _error(problem, request_id)


def beat(event: Event) -> bytes:
    """A comment that says where the request is; empty for other events."""
    if not isinstance(event, Beat):
        return b""
    return BEAT if event.where is None else event.where.comment()


async def _write(request: web.Request, stream: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionResetError for a client that takes nothing: its connection is cut."""
    transport = request.transport
    if transport is not None and not transport.get_write_buffer_size() and len(data) < _SMALL_BYTES:
        await stream.write(data)  # it has taken all so far: nothing is waited for
        return
    try:
        async with asyncio.timeout(_MOST_STALLED_S):
            await stream.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("a client that takes nothing") from None


def _usage(payload: Mapping[str, Any]) -> bytes:
    head = {name: payload[name] for name in ("id", "created", "model", "system_fingerprint") if name in payload}
    chunk = {**head, "object": "chat.completion.chunk", "choices": [], "usage": payload.get("usage")}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _restarted(request_id: str) -> bytes:
    """A chunk that says nothing to whoever does not know the field `headrace`."""
    choice = {"index": 0, "delta": {}, "finish_reason": None}
    shape = {"id": request_id, "object": "chat.completion.chunk", "created": 0, "model": "", "choices": [choice]}
    return orjson.dumps({**shape, "headrace": {"event": "restarted"}})


def _error(problem: Problem, request_id: str) -> bytes:
    """The last event of a stream that does not end well: OpenAI's error object, which its SDKs raise, and the request's id."""
    body = orjson.loads(problem.body())
    body["error"]["request_id"] = request_id
    return b"data: " + orjson.dumps(body) + b"\n\n"


def broken(request_id: str) -> Problem:
    message = (
        "the stream broke off and cannot go on where it stopped, because another attempt says otherwise; the whole answer: "
        f"GET /v1/requests/{request_id}"
    )
    return Problem(502, "server_error", "stream_broken", message, retryable=True)


def faulty(request_id: str) -> Problem:
    message = f"a fault of the front's own; the request goes on: GET /v1/requests/{request_id}/stream goes on with it"
    return Problem(500, "server_error", "internal", message, retryable=True)


def still_waits(request_id: str) -> Problem:
    message = f"nothing came for too long; the request goes on: GET /v1/requests/{request_id}/stream goes on with it"
    return Problem(504, "server_error", "still_waiting", message)
