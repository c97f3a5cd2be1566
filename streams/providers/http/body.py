"""Reading an answer's body inside the bounds of its provider: bytes a second, read buffers, size of one answer.

Of a whole answer the bytes on the wire are charged. A streamed answer is charged for what it brings, as the whole one would be:
its events are some fifty times its text, and holding them back would only make a slow model slower.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

import httpx2

from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.memory import ReadBuffers

_STEP_BYTES: Final = 256 * 1024
"""Room that is asked for before each read: what aiohttp may have buffered, and more than most whole answers."""


class Traffic:
    """What all calls to one provider share."""

    def __init__(self, bandwidth: Bandwidth, buffers: ReadBuffers) -> None:
        self.bandwidth = bandwidth
        self.buffers = buffers
        self.wire_bytes = 0
        """Bytes of bodies that the network has carried, both ways."""

    async def send(self, size: int) -> None:
        """Wait until the bytes may go out."""
        self.wire_bytes += size
        wait_s = self.bandwidth.charge(size, time.monotonic())
        if wait_s:
            await asyncio.sleep(wait_s)

    async def room(self, reader: int) -> None:
        """Wait until a reader may take in the next step."""
        if not self.buffers.take(reader, _STEP_BYTES):
            granted = asyncio.Event()
            self.buffers.wait(reader, _STEP_BYTES, granted.set)
            await granted.wait()


def _unpacked(response: httpx2.Response) -> httpx2.AsyncByteStream:
    """What is not compressed, straight from the transport: httpx2's two generators cost a stream 2 us a token."""
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return response.stream


class Body:
    """One answer's body, inside an `async with` that ends its claim on the buffers."""

    def __init__(self, response: httpx2.Response, traffic: Traffic, most_bytes: int) -> None:
        self._response = response
        self._traffic = traffic
        self._most_bytes = most_bytes
        self._reader = traffic.buffers.open()
        self._packed = "content-encoding" in response.headers
        self._pieces = aiter(response.aiter_bytes() if self._packed else _unpacked(response))
        self._kept = 0
        self._wire_bytes = 0
        self._came = 0
        """Bytes on the wire that were not charged yet."""
        self._wait_s = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._traffic.buffers.close(self._reader)

    async def read(self) -> bytes | None:
        """All of it; None if it is larger than it may be."""
        body, kept = bytearray(), self._kept
        while True:
            await self.ready()
            if not (chunk := await self.next()):
                return bytes(body)
            self.charge(self._came)
            self._came = 0
            body += chunk
            self.keep(kept + len(body))
            if len(body) > self._most_bytes:
                return None

    def take_room(self) -> bool:
        """Take the room of the next piece, if it may be read at once; `ready` waits until it may."""
        return not self._wait_s and self._traffic.buffers.take(self._reader, _STEP_BYTES)

    async def ready(self) -> float:
        """Wait until the next piece may be read; the seconds that it took."""
        began = time.monotonic()
        if self._wait_s:
            await asyncio.sleep(self._wait_s)
            self._wait_s = 0.0
        await self._traffic.room(self._reader)
        return time.monotonic() - began

    async def next(self) -> bytes:
        """The next decompressed piece, once it is `ready`; empty at the end. Say with `keep` what of it is held."""
        chunk = await anext(self._pieces, b"")
        came = len(chunk)
        if self._packed:
            wire_bytes = self._response.num_bytes_downloaded
            came, self._wire_bytes = wire_bytes - self._wire_bytes, wire_bytes
        self._came += came
        self._traffic.wire_bytes += came
        return chunk

    def charge(self, size: int) -> None:
        """Charge the bytes to the provider's bandwidth; the next piece waits for them."""
        self._wait_s = self._traffic.bandwidth.charge(size, time.monotonic())

    def keep(self, size: int) -> None:
        """How many bytes of what was read are still held, after each piece: what its room was more than that is free again."""
        self._traffic.buffers.read(self._reader, self._kept + _STEP_BYTES, size)
        self._kept = size
