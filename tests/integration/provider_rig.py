"""A provider over real HTTP for the tests of its calls, through each of the transports."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol
from unittest import mock

import httpx2
import pytest

from ops.brokers.ready import free_ports
from ops.provider_sim import ProviderSim
from streams.limits import UNLIMITED, Budget, Route
from streams.pipeline import NO_DELTAS, Busy, DeltaWriter, Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.providers.call import ProviderCall
from streams.providers.endpoint import Endpoint
from streams.providers.http.aiohttp_transport import AiohttpTransport
from streams.providers.http.sharded_transport import ShardedTransport
from streams.providers.http.transports import Transports
from streams.providers.providers import Providers
from streams.providers.retry import RetryPolicy
from streams.settings import Settings
from streams.settings.units import write_duration
from tests.support.requests import pending

MAX_ANSWER_BYTES = 100_000
QUICK = RetryPolicy(max_attempts=3, base_delay_s=0.01, max_delay_s=0.05)
API_KEY = "sk-1234567890abcdef"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(providers: Providers, request: PendingRequest) -> ProviderCall | Outcome | Busy:
    """Find the request's route and ask for a slot, as flow does."""
    route = providers.route(request)
    if isinstance(route, Outcome):
        return route
    request.route = route
    return providers.reserve(request)


def url_of(call: ProviderCall) -> str:
    """Where the call's next attempt goes."""
    assert call._taken is not None
    return call._taken.endpoint.url


class Rig:
    """Providers made from settings, and calls through them; checks at its end that everything came back."""

    def __init__(self, providers: Providers) -> None:
        self.providers = providers

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for provider in self.providers.all for endpoint in provider.endpoints]

    def reserve(self, request: PendingRequest) -> ProviderCall:
        route = self.providers.route(request)
        assert isinstance(route, Route), route
        request.route = route
        call = self.providers.reserve(request)
        assert isinstance(call, ProviderCall), call
        return call

    async def call(self, request: PendingRequest) -> Outcome:
        call = self.reserve(request)
        try:
            return await call.call(request)
        finally:
            call.release()

    def assert_everything_is_back(self) -> None:
        for provider in self.providers.all:
            assert (provider.connections.taken, provider.bodies.held, provider.traffic.buffers.held) == (0, 0, 0)
        assert [endpoint.in_flight for endpoint in self.endpoints] == [0] * len(self.endpoints)
        assert {endpoint.free("high") for endpoint in self.endpoints} != {0}


class OpenRig(Protocol):
    """Opens a rig over the given addresses, or endpoints as settings have them. Further tables of settings: `provider`, and any
    section by its name.
    """

    def __call__(
        self,
        *urls: Any,
        slots: int = 4,
        timeout_s: float = 60.0,
        retry: RetryPolicy = QUICK,
        provider: dict[str, Any] | None = None,
        deltas: DeltaWriter = NO_DELTAS,
        budget: Budget = UNLIMITED,
        **sections: dict[str, Any],
    ) -> AbstractAsyncContextManager[Rig]: ...


def over_aiohttp(connections: int = 100, keep_alive_s: float | None = 60.0) -> AiohttpTransport:
    return AiohttpTransport(connections, keep_alive_s, ssl.create_default_context())


def over_httpx2() -> ShardedTransport:
    return ShardedTransport(lambda: httpx2.AsyncHTTPTransport(trust_env=False), idle_s=60.0)


def rig_settings(
    urls: Sequence[Any],
    slots: int,
    timeout_s: float,
    retry: RetryPolicy,
    provider: dict[str, Any],
    sections: dict[str, dict[str, Any]],
) -> Settings:
    """Settings of one provider `sim`. The most time of all calls is `timeout_s` too, unless `provider` says otherwise."""
    given_retry = {
        "max_attempts": retry.max_attempts,
        "base_delay": write_duration(retry.base_delay_s),
        "max_delay": write_duration(retry.max_delay_s),
        "max_time": write_duration(timeout_s),
    } | provider.pop("retry", {})
    main = {
        "name": "sim",
        "endpoints": [url if isinstance(url, dict) else {"url": url, "api_key_env": "RIG_KEY"} for url in urls],
        "timeout": write_duration(timeout_s),
        "connections": {"max": slots * len(urls), "per_host": slots},
        "retry": given_retry,
        "bandwidth": "unlimited",
    }
    concurrency = {"per_host": slots, "high_share": "0%"} | sections.pop("concurrency", {})
    fixed = {"requests": {"max_answer_bytes": f"{MAX_ANSWER_BYTES}B"}, "concurrency": concurrency}
    return Settings.model_validate({"providers": [main | provider], **fixed, **sections})


class _OneTransport(Transports):
    """The same one for every address."""

    transport: httpx2.AsyncBaseTransport

    def of(self, url: str) -> httpx2.AsyncBaseTransport:
        return self.transport


@asynccontextmanager
async def open_rig(
    open_transport: Callable[[], httpx2.AsyncBaseTransport],
    *urls: Any,
    slots: int = 4,
    timeout_s: float = 60.0,
    retry: RetryPolicy = QUICK,
    provider: dict[str, Any] | None = None,
    deltas: DeltaWriter = NO_DELTAS,
    budget: Budget = UNLIMITED,
    **sections: dict[str, Any],
) -> AsyncIterator[Rig]:
    settings = rig_settings(urls, slots, timeout_s, retry, dict(provider or {}), sections)
    with mock.patch.dict(os.environ, {"RIG_KEY": API_KEY}):
        async with open_transport() as transport, AsyncExitStack() as stack:

            def transports(*given: Any) -> Transports:
                made = _OneTransport(*given)
                made.transport = transport
                return made

            providers = await open_providers(settings, stack, lambda _: budget, transports, deltas=deltas)
            made = Rig(providers)
            yield made
            made.assert_everything_is_back()


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
    return free_ports(1)[0]
