"""HTTP/1.1 calls with aiohttp, behind httpx2's transport interface.

httpx2 brings HTTP/2, and costs over a millisecond of CPU a call; aiohttp parses in C and has no HTTP/2. Behind the same
interface, neither the caller nor the tests know which one they have (docs/decisions/0010-aiohttp-under-httpx.md).

The server may close an idle connection at any moment. A POST that was sent on it cannot be told from one that was
executed, so that nobody may repeat it unasked. One that was *not* sent may go out on another connection: so we ask the
socket in the very moment before the first byte is written, and remember whether we wrote.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import httpx2
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

_MOST_TRIES: Final = 3
"""Connections to try until one takes the request. Once the first was found closed, the event loop knows of the others."""

_PEER_CLOSED: Final = getattr(select, "POLLRDHUP", 0)
"""Linux tells of a closed peer even if there is something to read, such as a TLS session ticket. Elsewhere POLLHUP does,
which is always reported.
"""


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Calls over one pool of at most `connections`; make it inside a running event loop, and close it.

    An idle connection is kept for `keep_alive_s` seconds, not at all if that is None. No proxies, redirects or cookies, and
    no time limits of its own: cancel a call to end it, and its connection is closed. Callers take a slot first
    (streams/flow): a call that finds no free connection waits for one.

    Raises httpx2.ConnectError for a request that was not sent; ReadError or RemoteProtocolError for one that may have been;
    LocalProtocolError for one that HTTP has no words for.
    """

    def __init__(self, connections: int, keep_alive_s: float | None, tls: ssl.SSLContext) -> None:
        keep = {"force_close": True} if keep_alive_s is None else {"keepalive_timeout": keep_alive_s}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls, **keep),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            auto_decompress=False,  # httpx2.Response does it
            trust_env=False,  # a proxy variable meant for a shell must not send paid traffic elsewhere
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = URL(str(request.url), encoded=True)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        content = await request.aread()
        tries_left = _MOST_TRIES
        while True:
            tries_left -= 1
            body = _Body(content)
            try:
                received = await self._session.request(
                    request.method, url, headers=headers, data=body, allow_redirects=False
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if body.begun:
                    raise _broken(error) from error
                if not tries_left or isinstance(error, aiohttp.ClientConnectorError):
                    raise httpx2.ConnectError(str(error)) from error
            except aiohttp.InvalidURL as error:
                raise httpx2.UnsupportedProtocol(str(error)) from error
            except aiohttp.ClientError as error:
                raise _broken(error) from error
            except ValueError as error:  # a line break in a header
                raise httpx2.LocalProtocolError(str(error)) from error
            else:
                response = httpx2.Response(
                    received.status, headers=list(received.raw_headers), stream=_Answer(received)
                )
                response.headers.encoding = "latin-1"  # else each header is decoded once more to find out
                return response

    async def aclose(self) -> None:
        await self._session.close()


class _Body(BytesPayload):
    """A request body that knows whether any of the request was handed to the network."""

    begun = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if _closed_by_peer(writer.transport):
            raise ConnectionResetError("the server closed the connection before the request was sent")
        self.begun = True  # the head, which aiohttp has kept back until now, goes with it
        await super().write_with_length(writer, content_length)


class _Answer(httpx2.AsyncByteStream):
    """A response body as it comes. Closing it before its end closes the connection."""

    def __init__(self, received: aiohttp.ClientResponse) -> None:
        self._found = received

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._found.content.readany()
        except aiohttp.ClientError as error:
            raise _broken(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._found.close()


def _broken(error: aiohttp.ClientError) -> httpx2.TransportError:
    """For a connection that broke under a request: a reset is a ReadError, anything else no HTTP."""
    kind = httpx2.ReadError if isinstance(error, aiohttp.ClientOSError) else httpx2.RemoteProtocolError
    return kind(str(error))


def _closed_by_peer(transport: asyncio.WriteTransport | None) -> bool:
    """Asks the kernel: the event loop may not have come to it yet. 2 us."""
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _PEER_CLOSED)
    return bool(poll.poll(0))
