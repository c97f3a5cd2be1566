"""A provider that answers every POST after a fixed time, and costs next to nothing.

The provider simulator (an aiohttp server with a ledger and a latency model) takes 0.15 ms of CPU a call, this 0.06 (16 calls
at a time, 2 cores): where the client is measured on the same cores, the other side must not be what bounds it. One HTTP/1.1
request at a time on a connection; over TLS also HTTP/2, as the handshake says.

    python -m ops.bench.upstream LATENCY_MS [CERTIFICATE KEY]
"""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from ops.bench.work import ANSWER

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
)
LISTENS: Final = "upstream listens on "

# RFC 9113: types of frames, flags, and the bytes before the first frame.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEAD_BYTES: Final = 9
_REFILL_BYTES: Final = 1 << 20


class _Connection(asyncio.Protocol):
    """HTTP/1.1."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            asyncio.get_running_loop().call_later(self._latency_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_RESPONSE)


class _Http2Connection(asyncio.Protocol):
    """As much of HTTP/2 as an answer that is always the same needs: no request header is ever read."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._received = bytearray()
        self._window = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_frame(_SETTINGS, 0, 0, b"\0\3\0\0\3\xe8"))  # at most 1,000 streams at a time

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.startswith(_PREFACE[: len(self._received)]):
            if len(self._received) < len(_PREFACE):
                return
            del self._received[: len(_PREFACE)]
        while len(self._received) >= _HEAD_BYTES:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < _HEAD_BYTES + size:
                return
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big") & 0x7FFFFFFF
            content = bytes(self._received[_HEAD_BYTES : _HEAD_BYTES + size])
            del self._received[: _HEAD_BYTES + size]
            self._frame(kind, flags, stream, content)

    def _frame(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, content))
        elif kind == _DATA:
            self._window += len(content)
            if self._window > _REFILL_BYTES // 32:
                self._transport.write(_frame(_WINDOW_UPDATE, 0, 0, self._window.to_bytes(4, "big")))
                self._window = 0
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, stream)

    def _answer(self, stream: int) -> None:
        if not self._transport.is_closing():
            head = _frame(_HEADERS, _END_HEADERS, stream, _FIELDS)
            self._transport.write(head + _frame(_DATA, _END_STREAM, stream, ANSWER))


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content


def _literal(name: int, value: bytes) -> bytes:
    """A field without indexing, its name from the static table at 15 or further (RFC 7541, 6.2.2)."""
    return bytes((0x0F, name - 15, len(value))) + value


_FIELDS: Final = b"\x88" + _literal(31, b"application/json") + _literal(28, b"%d" % len(ANSWER))
"""`:status` 200, `content-type`, `content-length`."""


class _Negotiated(asyncio.Protocol):
    """Becomes what the TLS handshake says."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = (_Http2Connection if chosen == "h2" else _Connection)(self._latency_s)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def serve(protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None) -> None:
    """Serve on a free port of loopback until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024, ssl=tls)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"{LISTENS}{'http' if tls is None else 'https'}://{host}:{port}/v1\n")
    sys.stdout.flush()
    await stop.wait()


def tls_of(certificate: str, key: str) -> ssl.SSLContext:
    """Offers both, HTTP/2 first."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


if __name__ == "__main__":
    latency_s = float(sys.argv[1]) / 1000
    if len(sys.argv) > 3:
        asyncio.run(serve(partial(_Negotiated, latency_s), tls_of(sys.argv[2], sys.argv[3])))
    else:
        asyncio.run(serve(partial(_Connection, latency_s)))
