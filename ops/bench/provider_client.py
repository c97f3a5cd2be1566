"""CPU of one provider call, by the client that makes it: `python -m ops.bench.provider_client`.

The simulator runs in a process of its own and answers after 50 ms; calls start at a steady rate, as a worker makes them. Every
client has its turn in every round, so that what else runs on the machine meets all of them; the least of the rounds counts.
The CPU is this process's own, user and system, divided by the calls.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

import aiohttp
import httpx2
import orjson
from rich.console import Console
from rich.table import Table

from ops.provider_sim import ProviderSim, SimSettings
from schemas.request import Request
from streams.limits import Route
from streams.pipeline import PendingRequest
from streams.providers.build import open_providers
from streams.providers.call import ProviderCall
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.wire import Answer, Asked
from streams.providers.http.aiohttp_transport import AiohttpTransport
from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.body import Traffic
from streams.providers.http.client import EndpointClient, Limits
from streams.providers.http.memory import ReadBuffers
from streams.providers.http.sharded_transport import POOL_CALLS, ShardedTransport
from streams.providers.providers import Providers
from streams.settings import Settings

CALLS: Final = 900
CALLS_PER_S: Final = 300
ROUNDS: Final = 3
LATENCY_MS: Final = 50
CONNECTIONS: Final = 500
KEEP_ALIVE_S: Final = 60.0

PAYLOAD: Final = {"model": "small", "messages": [{"role": "user", "content": "hello " * 40}], "max_tokens": 64}
HEADERS: Final = {"content-type": "application/json", "accept-encoding": "gzip, deflate"}

Client = Callable[[], Awaitable[object]]


def simulate(said: Connection) -> None:
    """The simulator's process; `said` gets its address, and ends it by closing."""

    async def run() -> None:
        async with ProviderSim(SimSettings(latency_ms=LATENCY_MS)) as simulator:
            said.send(simulator.url)
            await asyncio.to_thread(said.poll, None)

    asyncio.run(run())


async def nothing() -> None:
    """What a task that waits costs without any call."""
    async with asyncio.timeout(60):
        await asyncio.sleep(LATENCY_MS / 1000)


async def by_aiohttp(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(60), session.post(url, data=orjson.dumps(PAYLOAD), headers=HEADERS) as response:
        orjson.loads(await response.read())


async def by_client(client: httpx2.AsyncClient, url: str) -> None:
    async with (
        asyncio.timeout(60),
        client.stream("POST", url, content=orjson.dumps(PAYLOAD), headers=HEADERS) as response,
    ):
        orjson.loads(await response.aread())


async def by_endpoint(endpoint: EndpointClient, request: Request) -> None:
    body = OpenaiFormat().encode(request, stream=False)
    found, _ = await endpoint.call(Asked(request.operation), body, 60, stream=False, on_headers=lambda headers: None)
    assert isinstance(found, Answer)


async def by_providers(providers: Providers, request: PendingRequest) -> None:
    """All that a worker does for a call: reservation, routing, health, bounds."""
    call = providers.reserve(request)
    assert isinstance(call, ProviderCall)
    try:
        assert (await call.call(request)).status == "ok"
    finally:
        call.release()


def worker_settings(base: str, *, stream: bool) -> Settings:
    room = {"max": CONNECTIONS, "per_host": CONNECTIONS}
    provider = {"name": "bench", "endpoints": [{"url": base}], "connections": room, "stream": stream}
    agents = {"connections": {"pool_size": CONNECTIONS}}
    return Settings.model_validate(
        {"providers": [provider], "agents": agents, "concurrency": {"per_host": CONNECTIONS, "per_agent": CONNECTIONS}}
    )


class NoRecord:
    """A source of requests that come from nowhere."""

    live = True

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None: ...


def pending_request(request: Request, providers: Providers) -> PendingRequest:
    found = PendingRequest(
        request=request,
        request_id="bench",
        agent_id="bench",
        priority="normal",
        source=NoRecord(),
        index=0,
        event_id=b"",
        received_at=0.0,
        dispatch_by=0.0,
        expires_at=None,
        reply_topic="",
    )
    route = providers.route(found)
    assert isinstance(route, Route)
    found.route = route
    return found


async def open_clients(base: str, stack: AsyncExitStack) -> dict[str, Client]:
    tls = ssl.create_default_context()
    limits = httpx2.Limits(
        max_connections=POOL_CALLS, max_keepalive_connections=POOL_CALLS, keepalive_expiry=KEEP_ALIVE_S
    )
    pool = partial(httpx2.AsyncHTTPTransport, verify=tls, http2=True, trust_env=False, limits=limits)
    sharded = await stack.enter_async_context(ShardedTransport(pool, KEEP_ALIVE_S))
    over_aiohttp = await stack.enter_async_context(AiohttpTransport(CONNECTIONS, KEEP_ALIVE_S, tls))
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar())
    )
    url = f"{base}/chat/completions"
    request = Request.model_validate({"agent_id": "bench", "payload": PAYLOAD})
    clients: dict[str, Client] = {"no call: a task, a timeout, a sleep": nothing}
    for name, transport in (("httpx2's pools", sharded), ("aiohttp", over_aiohttp)):
        client = httpx2.AsyncClient(transport=transport, timeout=60)
        clients[f"httpx2.AsyncClient over {name}"] = partial(by_client, client, url)
        traffic = Traffic(Bandwidth(None), ReadBuffers(50_000_000, 1_000_000))
        endpoint = EndpointClient("bench", base, transport, OpenaiFormat(), Limits(1_000_000), traffic)
        clients[f"EndpointClient over {name}"] = partial(by_endpoint, endpoint, request)
    for name, stream in (("a worker's whole way", False), ("the same, streamed", True)):
        settings = worker_settings(base, stream=stream)
        providers = await open_providers(settings, stack)
        clients[name] = partial(by_providers, providers, pending_request(request, providers))
    clients["aiohttp.ClientSession itself"] = partial(by_aiohttp, session, url)
    return clients


async def cpu_ms_a_call(client: Client) -> float:
    """Warms the client's connections, then measures."""
    await asyncio.gather(*(client() for _ in range(2 * CALLS_PER_S * LATENCY_MS // 1000)))
    cpu_before_s, began = time.process_time(), time.monotonic()
    calls = []
    for number in range(CALLS):
        await asyncio.sleep(max(0.0, began + number / CALLS_PER_S - time.monotonic()))
        calls.append(asyncio.ensure_future(client()))
    await asyncio.gather(*calls)
    return (time.process_time() - cpu_before_s) / CALLS * 1000


async def measure(base: str) -> dict[str, list[float]]:
    """Milliseconds of CPU a call, by client and round."""
    async with AsyncExitStack() as stack:
        clients = await open_clients(base, stack)
        found: dict[str, list[float]] = {name: [] for name in clients}
        for _ in range(ROUNDS):
            for name, client in clients.items():
                found[name].append(await cpu_ms_a_call(client))
        return found


def main() -> None:
    ours, its = multiprocessing.Pipe()
    simulator = multiprocessing.get_context("spawn").Process(target=simulate, args=(its,), daemon=True)
    simulator.start()
    try:
        found = asyncio.run(measure(ours.recv()))
    finally:
        simulator.terminate()
        simulator.join()
    table = Table("client", "CPU ms a call", "without the task", "rounds")
    floor = min(next(iter(found.values())))
    for name, rounds in found.items():
        least = min(rounds)
        table.add_row(name, f"{least:.2f}", f"{least - floor:.2f}", " ".join(f"{one:.2f}" for one in rounds))
    Console().print(table)


if __name__ == "__main__":
    main()
