"""A provider over real HTTP for the tests of its calls, through each of the transports."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import httpx2
import pytest

from ops.provider_sim import ProviderSim
from streams.flow.calls import Busy
from streams.pipeline import Outcome, PendingRequest
from streams.providers.aiohttp_transport import AiohttpTransport
from streams.providers.endpoint import Endpoint
from streams.providers.providers import Call, Provider, Providers
from streams.providers.retry import RetryPolicy
from streams.providers.sharded_transport import ShardedTransport
from tests.unit.flow.samples import pending

MAX_ANSWER_BYTES = 100_000
QUICK = RetryPolicy(max_attempts=3, base_delay_s=0.01, max_delay_s=0.05)
API_KEY = "sk-1234567890abcdef"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(providers: Providers, request: PendingRequest) -> Call | Outcome | Busy:
    """Find the request's route and ask for a slot, as flow does."""
    route = providers.route(request)
    if isinstance(route, Outcome):
        return route
    request.route = route
    return providers.reserve(request)


class Rig:
    """A provider over the given addresses; checks at its end that every slot came back."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, urls: list[str], slots: int, timeout_s: float, retry: RetryPolicy
    ) -> None:
        self.endpoints = [Endpoint("sim", url, transport, {}, slots, MAX_ANSWER_BYTES, API_KEY) for url in urls]
        self.provider = Provider("sim", ["*"], self.endpoints, slots * len(urls), timeout_s, retry)
        self.providers = Providers([self.provider], time.time)
        self._slots = slots

    def reserve(self, request: PendingRequest) -> Call:
        call = ask(self.providers, request)
        assert isinstance(call, Call)
        return call

    async def call(self, request: PendingRequest) -> Outcome:
        call = self.reserve(request)
        try:
            return await call.call(request)
        finally:
            call.release()

    def assert_slots_are_back(self) -> None:
        assert [endpoint.free for endpoint in self.endpoints] == [self._slots] * len(self.endpoints)
        assert self.provider.free == self._slots * len(self.endpoints)


class OpenRig(Protocol):
    """Opens a rig over the given addresses."""

    def __call__(
        self, *urls: str, slots: int = 4, timeout_s: float = 5.0, retry: RetryPolicy = QUICK
    ) -> AbstractAsyncContextManager[Rig]: ...


def over_aiohttp(connections: int = 100, keep_alive_s: float | None = 60.0) -> AiohttpTransport:
    return AiohttpTransport(connections, keep_alive_s, ssl.create_default_context())


def over_httpx2() -> ShardedTransport:
    return ShardedTransport(lambda: httpx2.AsyncHTTPTransport(trust_env=False), idle_s=60.0)


@asynccontextmanager
async def open_rig(
    open_transport: Callable[[], httpx2.AsyncBaseTransport],
    *urls: str,
    slots: int = 4,
    timeout_s: float = 5.0,
    retry: RetryPolicy = QUICK,
) -> AsyncIterator[Rig]:
    async with open_transport() as transport:
        made = Rig(transport, list(urls), slots, timeout_s, retry)
        yield made
        made.assert_slots_are_back()


@pytest.fixture(params=[over_aiohttp, over_httpx2], ids=["aiohttp", "httpx2"])
def rig(request: pytest.FixtureRequest) -> OpenRig:
    """Every test that asks for it runs over each transport."""
    return partial(open_rig, request.param)


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSim]:
    async with ProviderSim() as running:
        yield running


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """An HTTP server of raw bytes, for what no decent server sends; its base address."""

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/v1"
    finally:
        server.close()


def asking(**hint: object) -> PendingRequest:
    return pending(payload={"headrace_sim": hint})


def error_type(outcome: Outcome) -> str | None:
    return outcome.error.type if outcome.error else None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
