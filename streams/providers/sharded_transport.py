"""Many small connection pools behind one HTTP client.

httpcore looks at every connection of a pool at the beginning and at the end of every call, and asks the socket of every idle
one whether it is still open: with 500 connections a call cost 5 ms of CPU here, and a worker fell over at 150 calls/s. Pools
of a few connections keep that cost flat. The first pool with room is taken, so that at low load the later ones fall idle and
close their connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx2

POOL_CALLS = 8
"""Calls of one pool at a time; over HTTP/2 they share a connection."""


class ShardedTransport(httpx2.AsyncBaseTransport):
    """Spreads calls over pools of `POOL_CALLS`; `make_pool` makes one when the others are full.

    It bounds nothing itself: whoever calls holds a slot first (streams/flow).
    """

    def __init__(self, make_pool: Callable[[], httpx2.AsyncBaseTransport]) -> None:
        self._make_pool = make_pool
        self._pools: list[httpx2.AsyncBaseTransport] = []
        self._calls: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        number = next((number for number, calls in enumerate(self._calls) if calls < POOL_CALLS), len(self._pools))
        if number == len(self._pools):
            self._pools.append(self._make_pool())
            self._calls.append(0)
        self._calls[number] += 1
        try:
            response = await self._pools[number].handle_async_request(request)
        except BaseException:
            self._calls[number] -= 1
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, lambda: self._end(number))
        return response

    def _end(self, number: int) -> None:
        self._calls[number] -= 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


class _Counted(httpx2.AsyncByteStream):
    """A response body that says once when it is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, on_close: Callable[[], None]) -> None:
        self._stream = stream
        self._on_close: Callable[[], None] | None = on_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        on_close, self._on_close = self._on_close, None
        try:
            await self._stream.aclose()
        finally:
            if on_close is not None:
                on_close()
