"""A door before a server: passes bytes on, and counts what browsers ask for and how many streams of events are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_MOST_BYTES = 65536


@dataclass(slots=True)
class Door:
    """What came to the server. A browser sends each request's head at once, one after the other on a connection."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Paths, in the order in which they came."""
    streams: int = 0
    """Connections whose last request was for events, and which are open."""


@asynccontextmanager
async def door(server: str) -> AsyncIterator[Door]:
    """Before the server at `http://HOST:PORT`."""
    host, _, port = server.removeprefix("http://").partition(":")
    counted = Door()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, out = await asyncio.open_connection(host, int(port))
        watches = False
        answers = asyncio.create_task(_pass_on(inside, writer))
        try:
            while data := await reader.read(_MOST_BYTES):
                method, _, rest = data.partition(b" ")
                if method in (b"GET", b"POST"):
                    path = rest.split(b" ", 1)[0].decode()
                    counted.asked.append(path)
                    if path.endswith("/events") and not watches:
                        watches = True
                        counted.streams += 1
                out.write(data)
                await out.drain()
        except ConnectionError:
            pass
        finally:
            counted.streams -= watches
            answers.cancel()
            out.close()
            writer.close()

    listening = await asyncio.start_server(enter, "127.0.0.1", 0)
    address = listening.sockets[0].getsockname()
    counted.url = f"http://127.0.0.1:{address[1]}"
    try:
        yield counted
    finally:
        listening.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_MOST_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
