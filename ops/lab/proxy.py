"""A TCP proxy before a broker, which breaks the network as a `Link` says.

One address stays as long as the proxy: the bootstrap address, as a DNS name or a load balancer would. The other is what the
broker advertises, and `move` changes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from types import TracebackType
from typing import Final, Self

from ops.lab.link import Link, Mode, Way

_CHUNK: Final = 64 * 1024
_RST: Final = struct.pack("ii", 1, 0)
"""Lingering for 0 s: closing sends RST in place of FIN."""


class Proxy:
    """Takes connections on loopback and joins them to 127.0.0.1:`port`, between `async with` and its end.

    Args:
        port: of the broker.
        seed: of the jitter.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.port = port
        self.link = Link(random.Random(seed))
        self.bootstrap = self.advertised = ""
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.StreamWriter, asyncio.StreamWriter | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.bootstrap = await self._listen()
        self.advertised = await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        self._reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode, delay_s: float = 0.0, jitter_s: float = 0.0) -> None:
        """The network is so from now on, for open connections too.

        Connections whose bytes were swallowed end when it is well again: real ones would be reset or time out.
        """
        torn = self.link.torn
        self.link.set(mode, delay_s, jitter_s)
        if mode == "cut" or (mode == "well" and torn):
            self._reset_all()

    async def move(self) -> str:
        """Another advertised address; nobody listens at the former one any more. Returns the new one."""
        self._servers.pop().close()
        self.advertised = await self._listen()
        return self.advertised

    async def _listen(self) -> str:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open[writer] = None
        try:
            if not self.link.accepts:
                _reset(writer)
            elif not self.link.reaches:
                self.link.torn = True
                await reader.read(-1)  # until the caller gives up, or the network is well and resets it
            else:
                there, away = await asyncio.open_connection("127.0.0.1", self.port)
                self._open[writer] = away
                ways = [
                    asyncio.create_task(self._pump("in", reader, away)),
                    asyncio.create_task(self._pump("out", there, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the broker does not listen, or an end went away: the caller sees its connection end
        finally:
            other = self._open.pop(writer, None)
            for each in (writer, other):
                if each is not None:
                    each.close()
            self._tasks.discard(task)

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                for piece in self.link.pass_on(way, data):
                    if piece.after_s:
                        await asyncio.sleep(piece.after_s)
                    writer.write(piece.data)
                    await writer.drain()

    def _reset_all(self) -> None:
        for writer, other in list(self._open.items()):
            for each in (writer, other):
                if each is not None:
                    _reset(each)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ValueError):
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()
