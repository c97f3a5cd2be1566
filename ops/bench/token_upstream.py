"""A provider that streams tokens at a steady pace, each with the moment at which it was sent, and costs next to nothing.

    python -m ops.bench.token_upstream

Every POST says what it wishes in its JSON: `first_ms` until the first token (or the whole answer), `tokens`, `each_ms` between
two, `pad_bytes` that each is longer. A token's text is `@NANOSECONDS@` of the monotonic clock, which all processes of a machine
share: whoever reads it knows how long it was on its way, whatever lies between.

What is due in the same millisecond is sent in one turn of the loop: a timer for each token would cost more than its sending, and
the cores are those of the way that is measured. 12 us a token, 5 of it in the kernel; with timers 19.

GET tells how many calls are under way here: begun, not ended, and not closed by who made them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

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


_TOLD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


_TICK_S: Final = 0.001


class _Ticks:
    """Calls what is due, a millisecond's worth at a time: at most that late, and never early."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._next: asyncio.TimerHandle | None = None

    def at(self, due: float, call: Callable[[], None]) -> None:
        """`due`: a time of the loop's clock."""
        tick = int(due / _TICK_S) + 1
        calls = self._due.get(tick)
        if calls is not None:
            calls.append(call)
            return
        self._due[tick] = [call]
        if self._next is None or tick * _TICK_S < self._next.when():
            if self._next is not None:
                self._next.cancel()
            self._next = self._loop.call_at(tick * _TICK_S, self._run)

    def _run(self) -> None:
        self._next = None
        now = int(self._loop.time() / _TICK_S)
        for tick in sorted(each for each in self._due if each <= now):
            for call in self._due.pop(tick):
                call()
        if self._due and self._next is None:
            self._next = self._loop.call_at(min(self._due) * _TICK_S, self._run)


class _Connection(asyncio.Protocol):
    """HTTP/1.1, one request at a time."""

    under_way: ClassVar[set[_Connection]] = set()

    def __init__(self, ticks: _Ticks) -> None:
        self._ticks = ticks
        self._received = b""
        self._gone = False
        self._pad = b""
        self._due = self._each_s = 0.0
        self._left = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.under_way.discard(self)
        self._gone = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and head.startswith(b"GET "):
            self._received = b""
            told = b"%d" % len(self.under_way)
            self._transport.write(_TOLD % (len(told), told))
            return
        length = _LENGTH.search(head + b"\r\n")
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._begin(orjson.loads(body))

    def _begin(self, asked: dict[str, Any]) -> None:
        wish = asked.get("bench", {})
        self.under_way.add(self)
        self._due = asyncio.get_running_loop().time() + wish.get("first_ms", 20) / 1000
        self._pad = b"x" * wish.get("pad_bytes", 0)
        if asked.get("stream"):
            self._left, self._each_s, self._head = wish["tokens"], wish["each_ms"] / 1000, _STREAM_HEAD
            self._ticks.at(self._due, self._token)
        else:
            self._ticks.at(self._due, self._whole)

    def _token(self) -> None:
        """This token and, at its own time, the next: a late one makes those behind it no later."""
        if self._gone:
            return
        head, self._head = self._head, b""
        if self._left:
            content = b'{"content":"@%d@%b"}' % (time.monotonic_ns(), self._pad)
            self._transport.write(head + _http_chunk(_CHUNK % (content, b"null")))
            self._left -= 1
            self._due += self._each_s
            self._ticks.at(self._due, self._token)
        else:
            last = _http_chunk(_CHUNK % (b"{}", b'"stop"') + b"data: [DONE]\n\n")
            self._end(head + last + b"0\r\n\r\n")

    def _whole(self) -> None:
        if not self._gone:
            self._end(_WHOLE)

    def _end(self, data: bytes) -> None:
        self.under_way.discard(self)
        self._transport.write(data)


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def main() -> None:
    ticks = _Ticks()
    await serve(lambda: _Connection(ticks))


if __name__ == "__main__":
    asyncio.run(main())
