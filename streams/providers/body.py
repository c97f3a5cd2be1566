"""Reading an answer's body inside the bounds of its provider: bytes a second, read buffers, size of one answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

import httpx2

from streams.providers.bandwidth import Bandwidth
from streams.providers.memory import ReadBuffers

_STEP_BYTES: Final = 256 * 1024
"""Room that is asked for before each read: what aiohttp may have buffered, and more than most whole answers."""


class Traffic:
    """What all calls to one provider share."""

    def __init__(self, bandwidth: Bandwidth, buffers: ReadBuffers) -> None:
        self.bandwidth = bandwidth
        self.buffers = buffers

    async def send(self, size: int) -> None:
        """Wait until so many bytes may go out."""
        wait_s = self.bandwidth.charge(size, time.monotonic())
        if wait_s:
            await asyncio.sleep(wait_s)

    async def room(self, reader: int) -> None:
        """Wait until a reader may take in the next step."""
        if not self.buffers.take(reader, _STEP_BYTES):
            granted = asyncio.Event()
            self.buffers.wait(reader, _STEP_BYTES, granted.set)
            await granted.wait()


class Body:
    """One answer's body, inside an `async with` that ends its claim on the buffers."""

    def __init__(self, response: httpx2.Response, traffic: Traffic, most_bytes: int) -> None:
        self._response = response
        self._traffic = traffic
        self._most_bytes = most_bytes
        self._reader = traffic.buffers.open()
        self._kept = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._traffic.buffers.close(self._reader)

    async def read(self) -> bytes | None:
        """All of it; None if it is larger than it may be."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > self._most_bytes:
                return None
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Decompressed pieces; each counts as held until `keep` says otherwise."""
        traffic, wire_bytes = self._traffic, 0
        pieces = aiter(self._response.aiter_bytes())
        while True:
            await traffic.room(self._reader)
            chunk = await anext(pieces, b"")
            traffic.buffers.read(self._reader, _STEP_BYTES, len(chunk))
            self._kept += len(chunk)
            if not chunk:
                return
            came, wire_bytes = self._response.num_bytes_downloaded - wire_bytes, self._response.num_bytes_downloaded
            wait_s = traffic.bandwidth.charge(came, time.monotonic())
            yield chunk
            if wait_s:
                await asyncio.sleep(wait_s)

    def keep(self, size: int) -> None:
        """Of what was read, so many bytes are still held."""
        self._traffic.buffers.read(self._reader, self._kept, size)
        self._kept = size
