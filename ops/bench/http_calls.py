"""Calls of a load of HTTP clients, as cheap as they get: what they cost is taken from the way that is measured."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ops.bench.token_upstream import MARK

_TAIL_BYTES: Final = 40
"""More than a token's mark takes: one that two reads share is found in the second."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Counts:
    """What came of all of them."""

    first_ms: list[float] = field(default_factory=list)
    """From the request until its first token (or its whole answer) was read."""
    token_ms: list[float] = field(default_factory=list)
    """From the upstream's sending a token until it was read; without the first of each stream."""
    ended: int = 0
    cut: int = 0
    """Without the last event, or not all tokens."""
    refused: int = 0
    cpu_s: float = 0.0
    """What this process took in the measured time."""
    under_way: int = 0
    """Calls of the upstream when clients went away."""
    closed: int = 0
    """Of them, those that it had no more at the end of the time planned."""


class Call(asyncio.Protocol):
    """One request on one connection. `done` is set when the answer has ended, however."""

    def __init__(self, request: bytes, tokens: int, counts: Counts, measures: Callable[[], bool]) -> None:
        self._request = request
        self._tokens = tokens
        self._counts = counts
        self._measures = measures
        self._tail = b""
        self._seen = 0
        self.done = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._sent_ns = time.monotonic_ns()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self._seen and not self._tail and b" 200 " not in data[:16]:
            self._counts.refused += 1
            self._finish()
            return
        data, after = self._tail + data, 0
        for mark in MARK.finditer(data):
            after = mark.end()
            self._seen += 1
            if self._measures():
                if self._seen == 1:
                    self._counts.first_ms.append((now - self._sent_ns) / 1e6)
                else:
                    self._counts.token_ms.append((now - int(mark[1])) / 1e6)
        if b"[DONE]" in data:
            whole = self._seen == self._tokens
            self._counts.ended += whole
            self._counts.cut += not whole
            self._finish()
        self._tail = data[max(after, len(data) - _TAIL_BYTES) :]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._counts.cut += 1
            self.done.set_result(None)

    @property
    def has_begun(self) -> bool:
        """Whether a token has come."""
        return self._seen > 0

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()


class PostConnection(asyncio.Protocol):
    """One request at a time, answered as a whole, on a connection that is used again. Half of what aiohttp's client
    takes (330 us a request in place of 650, most of it the loop's, at 200 a second).
    """

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[int | None] | None = None
        self.transport: asyncio.Transport
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def post(self, request: bytes) -> asyncio.Future[int | None]:
        """Send it; the status of its answer, once that is whole. None where the connection ended before."""
        self._received = b""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if found else None
        if length is not None and len(body) >= int(length[1]):
            self._settle(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._settle(None)

    def _settle(self, status: int | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(status)
