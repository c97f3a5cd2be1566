"""A provider that streams tokens at a steady pace, each with the moment at which it was sent, and costs next to nothing.

    python -m ops.bench.token_upstream

Every POST says what it wishes in its JSON: `first_ms` until the first token (or the whole answer), `tokens`, `each_ms` between
two. A token's text is `@NANOSECONDS@` of the monotonic clock, which all processes of a machine share: whoever reads it knows
how long it was on its way, whatever lies between.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, Final

import orjson

from ops.bench.upstream import serve
from ops.bench.work import ANSWER

MARK: Final = re.compile(rb"@(\d+)@")

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"small","choices":'
    b'[{"index":0,"delta":%s,"finish_reason":%s}]}\n\n'
)
_WHOLE: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
)


class _Connection(asyncio.Protocol):
    """HTTP/1.1, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._begin(orjson.loads(body))

    def _begin(self, asked: dict[str, Any]) -> None:
        wish = asked.get("bench", {})
        loop = asyncio.get_running_loop()
        first_at = loop.time() + wish.get("first_ms", 20) / 1000
        if asked.get("stream"):
            self._next = loop.call_at(first_at, self._token, first_at, wish["tokens"], wish["each_ms"] / 1000, True)
        else:
            self._next = loop.call_at(first_at, self._transport.write, _WHOLE)

    def _token(self, due: float, left: int, each_s: float, first: bool = False) -> None:
        """This token and, at its own time, the next: a late one makes those behind it no later."""
        head = _STREAM_HEAD if first else b""
        if left:
            self._transport.write(head + _http_chunk(_CHUNK % (b'{"content":"@%d@"}' % time.monotonic_ns(), b"null")))
            due += each_s
            self._next = asyncio.get_running_loop().call_at(due, self._token, due, left - 1, each_s)
        else:
            last = _http_chunk(_CHUNK % (b"{}", b'"stop"') + b"data: [DONE]\n\n")
            self._transport.write(head + last + b"0\r\n\r\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


if __name__ == "__main__":
    asyncio.run(serve(_Connection))
