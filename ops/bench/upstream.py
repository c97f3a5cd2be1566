"""A provider that answers every POST after a fixed time, and costs next to nothing.

The provider simulator (an aiohttp server with a ledger and a latency model) takes 0.15 ms of CPU a call, this 0.06 (16 calls
at a time, 2 cores): where the client is measured on the same cores, the other side must not be what bounds it. One HTTP/1.1
request at a time on a connection.

    python -m ops.bench.upstream LATENCY_MS
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from typing import Final

from ops.bench.work import ANSWER

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
)
LISTENS: Final = "upstream listens on "


class _Connection(asyncio.Protocol):
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


async def serve(latency_s: float) -> None:
    """Serve on a free port of loopback until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(lambda: _Connection(latency_s), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"{LISTENS}http://{host}:{port}/v1\n")
    sys.stdout.flush()
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
