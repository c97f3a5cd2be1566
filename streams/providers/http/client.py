"""One endpoint over HTTP: one call, one check. It keeps no slots, counts and retries: those hold it (endpoint.py, call.py).

It calls the transport itself: httpx2's client would add cookies, redirects and authentication, which no provider asks
for, and a fifth of a call's CPU (docs/decisions/0010-aiohttp-under-httpx.md).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import httpx2

from schemas.errors import clip
from schemas.request import Operation
from streams.pipeline import Deltas
from streams.providers.formats.sse import EventDecoder, without_padding
from streams.providers.formats.wire import Answer, Asked, Failure, Format, broken
from streams.providers.http.body import Body, Traffic
from streams.providers.http.compress import compress
from streams.providers.http.reattach import not_streamed
from streams.providers.http.resume import Events, Resume, lost
from streams.providers.http.silence import Silence, SilenceError
from streams.providers.keys import KeySource
from streams.trace.marks import Pairs

_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "content-type": "application/json",
    "user-agent": "headrace",
}

_MOST_UNDECIDED_BYTES: Final = 4096
"""Of a comment that a stream begins with; a whole body that begins so does not exist."""

_END_S: Final = 1.0
"""Seconds for a connection to end after its answer did: one that ends can be used again, and some never do."""

_LOOK_FOR_KEY_S: Final = 2.0
"""How long a refused call may wait for a look at its key's file."""

_FROM_NOTHING: Final = Resume(None)
"""Nothing was begun before, and nobody goes on with it."""

OnHeaders = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may take. `gzip_from_bytes`: smallest body that is sent compressed; None: none is."""

    max_answer_bytes: int
    gzip_from_bytes: int | None = None
    stream_idle_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the status, or what went wrong."""

    well: bool
    status: int | None
    error: str | None
    took_s: float


class EndpointClient:
    """Calls one address. `traffic` is what all of the provider's calls share: bandwidth and read buffers."""

    def __init__(
        self,
        provider: str,
        url: str,
        transport: httpx2.AsyncBaseTransport,
        wire: Format,
        limits: Limits,
        traffic: Traffic,
        *,
        headers: Mapping[str, str] | None = None,
        key: KeySource | None = None,
        health_path: str = "/models",
    ) -> None:
        self.url = url
        self._provider = provider
        self._transport = transport
        self._wire = wire
        self._limits = limits
        self._traffic = traffic
        operations: tuple[Operation, ...] = ("chat.completions", "embeddings")
        paths = {operation: wire.path(operation) for operation in operations}
        self._urls = {operation: httpx2.URL(url + path) for operation, path in paths.items() if path is not None}
        self._health_url = httpx2.URL(url + health_path)
        self._given = {name.lower(): value for name, value in (headers or {}).items()}
        self.key = key or KeySource(None)
        self._use(self.key.current)

    def _use(self, key: str | None) -> None:
        """Call with this key from now on."""
        self._used = key
        host = {"host": self._health_url.netloc.decode("ascii")}
        headers = {**_HEADERS, **host, **self._wire.headers(key), **self._given}
        self._headers = httpx2.Headers(headers)  # copied by each request: 9 us less than a dictionary
        self._stream_headers = httpx2.Headers(headers | {"accept": "text/event-stream"})

    async def call(
        self,
        asked: Asked,
        body: bytes,
        timeout_s: float,
        *,
        stream: bool,
        on_headers: OnHeaders,
        deltas: Deltas | None = None,
        resume: Resume | None = None,
        trace: Pairs = (),
    ) -> tuple[Answer | Failure, float | None]:
        """One attempt, and the seconds to its first token where it was streamed. Raises nothing but CancelledError. What is
        streamed is told to `deltas` as it comes. `resume`: how it goes on with an earlier attempt; `trace`: headers
        of its trace context.

        A call whose key is refused while there is a new one goes out again with that: a key's rotation costs no attempt.
        """
        ends = time.monotonic() + timeout_s
        if self._used != self.key.current:
            self._use(self.key.current)
        used = self._used
        resume = resume or _FROM_NOTHING
        result, first_s = await self._call(asked, body, timeout_s, stream, on_headers, deltas, resume, trace)
        if not isinstance(result, Failure):
            return result, first_s
        if result.fault == "key" and await self._has_another_key(used) and (left_s := ends - time.monotonic()) > 0:
            self._use(self.key.current)
            result, first_s = await self._call(asked, body, left_s, stream, on_headers, deltas, resume, trace)
            if not isinstance(result, Failure):
                return result, first_s
        return replace(result, message=self.key.scrub(result.message)), first_s

    async def _has_another_key(self, used: str | None) -> bool:
        try:
            async with asyncio.timeout(_LOOK_FOR_KEY_S):
                return await self.key.refused(used)
        except TimeoutError:  # its file system hangs
            return False

    async def _call(
        self,
        asked: Asked,
        body: bytes,
        timeout_s: float,
        stream: bool,
        on_headers: OnHeaders,
        deltas: Deltas | None,
        resume: Resume,
        trace: Pairs,
    ) -> tuple[Answer | Failure, float | None]:
        name = self._provider
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(asked, body, stream, on_headers, deltas, resume, trace)
        except (TimeoutError, httpx2.TimeoutException):
            message = f"no answer from {name} within {timeout_s:.1f} s"
            return Failure("provider_timeout", message, fault="illness", charged=True), None
        except httpx2.ConnectError as error:
            message = clip(f"{name} cannot be reached: {error}")
            return Failure("provider_unavailable", message, fault="illness", sent=False), None
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, OSError) as error:
            return broken(f"the call to {name} broke: {type(error).__name__}"), None

    async def _exchange(
        self,
        asked: Asked,
        body: bytes,
        stream: bool,
        on_headers: OnHeaders,
        deltas: Deltas | None,
        resume: Resume,
        trace: Pairs,
    ) -> tuple[Answer | Failure, float | None]:
        began = time.monotonic()
        if resume.id is not None:
            request = self._get(self._wire.reattached(resume.id, resume.after))
        else:
            request = await self._post(asked, body if resume.body is None else resume.body, stream)
        for name, value in trace:
            request.headers[name] = value
        response = await self._transport.handle_async_request(request)
        async with aclosing(response), Body(response, self._traffic, self._limits.max_answer_bytes) as result:
            on_headers(response.headers)
            if stream and 200 <= response.status_code < 300:
                return await self._read_stream(asked, result, response, began, deltas, resume)
            whole = await result.read()
            if whole is None:
                return self._too_large(), None
        if resume.id is not None:
            fetch = partial(self._fetch, self._wire.reattached(resume.id, None))
            fetched = await not_streamed(response.status_code, fetch, partial(self._wire.decode, asked))
            if fetched is not None:
                return fetched, None
        return self._wire.decode(asked, response.status_code, whole, response.headers), None

    async def _post(self, asked: Asked, body: bytes, stream: bool) -> httpx2.Request:
        headers = self._stream_headers if stream else self._headers
        if self._limits.gzip_from_bytes is not None and len(body) >= self._limits.gzip_from_bytes:
            body = await compress(body)
            headers = httpx2.Headers(headers)
            headers["content-encoding"] = "gzip"
        await self._traffic.send(len(body))
        # With a stream and all headers given: what httpx2 would work out for `content` takes 20 us.
        request = httpx2.Request("POST", self._urls[asked.operation], headers=headers, stream=httpx2.ByteStream(body))
        request.headers["content-length"] = str(len(body))
        return request

    def _get(self, path: str | None, method: str = "GET") -> httpx2.Request:
        assert path is not None, "only a format that has such answers names one"
        return httpx2.Request(method, httpx2.URL(self.url + path), headers=self._stream_headers)

    async def _fetch(self, path: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        """The state of an answer that goes on without a reader."""
        request = self._get((path or "").partition("?")[0])
        response = await self._transport.handle_async_request(request)
        async with aclosing(response), Body(response, self._traffic, self._limits.max_answer_bytes) as body:
            return response.status_code, await body.read() or b"", response.headers

    async def end(self, response_id: str, timeout_s: float) -> bool:
        """Have an answer ended that goes on without a reader; whether the upstream took it. Raises nothing but CancelledError."""
        path = (self._wire.reattached(response_id, None) or "").partition("?")[0]
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._transport.handle_async_request(self._get(f"{path}/cancel", "POST"))
                async with aclosing(response):
                    async for _ in response.aiter_raw():  # read to its end, so that the connection can be used again
                        pass
        except (TimeoutError, httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, OSError):
            return False
        return response.status_code < 500

    async def _read_stream(
        self,
        asked: Asked,
        body: Body,
        response: httpx2.Response,
        began: float,
        deltas: Deltas | None,
        resume: Resume,
    ) -> tuple[Answer | Failure, float | None]:
        """The answer to a call that asked for a stream. What it is shows in its first bytes: content types are wrong in both
        directions.
        """
        start, begun = b"", False
        while not begun and len(start) < _MOST_UNDECIDED_BYTES:
            await body.ready()
            if not (chunk := await body.next()):
                break
            start, begun = without_padding(start + chunk)
            body.keep(len(start))
        if not start.startswith((b"{", b"[", b"<")):
            return await self._read_events(Events(self._wire, asked, deltas, resume), body, start, began)
        rest = await body.read()
        if rest is None or len(start) + len(rest) > self._limits.max_answer_bytes:
            return self._too_large(), None
        if resume.body is not None:  # what it says is but the rest of an answer
            return lost(f"{self._provider} did not stream what was still missing of an answer"), None
        return self._wire.decode(asked, response.status_code, start + rest, response.headers), None

    async def _read_events(
        self, events: Events, body: Body, chunk: bytes, began: float
    ) -> tuple[Answer | Failure, float | None]:
        """The events put together. Silence is a failure of its own: what has begun and stands still will not go on. An answer
        that is whole is one, whatever becomes of its connection.
        """
        decoder, first_s = EventDecoder(), None
        event_at: float | None = None
        now = time.monotonic
        async with Silence() as silence:
            while chunk:
                before = events.size_bytes
                for data in decoder.feed(chunk):
                    event_at = now()
                    if events.feed(data) and first_s is None:
                        first_s = event_at - began
                    if events.owes_a_promise:
                        await events.promise()
                if events.anew:
                    return events.finish(), first_s
                held = events.size_bytes + decoder.pending_bytes
                body.keep(held)
                body.charge(events.size_bytes - before)
                if held > self._limits.max_answer_bytes:
                    return self._too_large(), first_s
                if (rest := events.rest()) is not None:
                    await rest
                waited_s = 0.0 if body.take_room() else await body.ready()
                idle_s = self._limits.stream_idle_s
                if events.ended:
                    idle_s = min(idle_s, _END_S)
                elif event_at is not None:
                    event_at += waited_s
                    idle_s -= now() - event_at
                try:
                    chunk = await silence.bounds(body.next(), None if event_at is None else max(0.0, idle_s))
                except (SilenceError, httpx2.HTTPError, httpx2.StreamError, OSError) as error:
                    for data in decoder.end():
                        events.feed(data)
                    result = events.finish()
                    if isinstance(result, Answer):
                        return result, first_s
                    if isinstance(error, SilenceError):
                        return self._silent(), first_s
                    raise
        for data in decoder.end():
            events.feed(data)
            if events.owes_a_promise:
                await events.promise()
        return events.finish(), first_s

    def _silent(self) -> Failure:
        message = f"the stream of {self._provider} was silent for {self._limits.stream_idle_s:g} s"
        return Failure("provider_timeout", message, fault="illness", charged=True)

    def _too_large(self) -> Failure:
        message = f"the answer has more than {self._limits.max_answer_bytes} bytes"
        return Failure("answer_too_large", message, fault="request", charged=True)

    async def check(self, timeout_s: float) -> Checked:
        """Ask whether it lives: any answer below 500 says so. Raises nothing but CancelledError."""
        began = time.monotonic()
        status, error = None, None
        if self._used != self.key.current:
            self._use(self.key.current)
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._transport.handle_async_request(
                    httpx2.Request("GET", self._health_url, headers=self._headers)
                )
                async with aclosing(response):
                    status = response.status_code
                    async for _ in response.aiter_raw():  # read to its end, so that the connection can be used again
                        pass
        except (TimeoutError, httpx2.TimeoutException):
            error = f"no answer within {timeout_s:g} s"
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, OSError) as fault:
            error = clip(str(fault) or type(fault).__name__, 200)
        well = error is None and status is not None and status < 500
        return Checked(well, status, error, time.monotonic() - began)
