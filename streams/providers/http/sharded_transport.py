"""Many small connection pools behind one transport.

httpcore looks at every connection of a pool at the beginning and at the end of every call, and asks the socket of every idle
one whether it is still open: with 500 connections a call cost 5 ms of CPU here, and a worker fell over at 150 calls/s. Pools
of a few connections keep that cost flat. The first pool with room is taken, so that at low load the later ones fall idle; we
close them then, because a pool that nobody calls keeps its idle connections for good.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2
from h2.exceptions import H2Error

POOL_CALLS = 8
"""Calls of one pool at a time; over HTTP/2 they share a connection."""


@dataclass(slots=True, eq=False)
class _Pool:
    transport: httpx2.AsyncBaseTransport
    calls: int = 0
    idle_since: float = 0.0
    """Monotonic time at which its last call ended."""

    def end_call(self) -> None:
        self.calls -= 1
        self.idle_since = time.monotonic()


class ShardedTransport(httpx2.AsyncBaseTransport):
    """Spreads calls over pools of `POOL_CALLS`; `make_pool` makes one when the others are full.

    The last pools are closed when they had no call for `idle_s` seconds (noticed at the next call). It bounds nothing
    itself: callers take a slot first (streams/flow).
    """

    def __init__(self, make_pool: Callable[[], httpx2.AsyncBaseTransport], idle_s: float) -> None:
        self._make_pool = make_pool
        self._idle_s = idle_s
        self._pools: list[_Pool] = []

    @property
    def under_way(self) -> list[int]:
        """Calls under way, by pool."""
        return [pool.calls for pool in self._pools]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await self._close_idle()
        pool = next((pool for pool in self._pools if pool.calls < POOL_CALLS), None)
        if pool is None:
            pool = _Pool(self._make_pool())
            self._pools.append(pool)
        pool.calls += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except H2Error as error:
            pool.end_call()
            raise httpx2.RemoteProtocolError(str(error)) from error
        except BaseException:
            pool.end_call()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, pool.end_call)
        return response

    async def _close_idle(self) -> None:
        over = time.monotonic() - self._idle_s
        while len(self._pools) > 1 and not self._pools[-1].calls and self._pools[-1].idle_since < over:
            await self._pools.pop().transport.aclose()

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
            await pool.transport.aclose()


class _Counted(httpx2.AsyncByteStream):
    """A response body that says once when it is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, on_close: Callable[[], None]) -> None:
        self._stream = stream
        self._on_close: Callable[[], None] | None = on_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except H2Error as error:  # httpcore lets it through
            raise httpx2.RemoteProtocolError(str(error)) from error

    async def aclose(self) -> None:
        on_close, self._on_close = self._on_close, None
        try:
            await self._stream.aclose()
        finally:
            if on_close is not None:
                on_close()
