"""Calls to a real HTTP server, good and bad: outcomes, retries, limits, and slots that always come back."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import orjson
import pytest

from ops.provider_sim import ProviderSim, SimSettings
from streams.pipeline import Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.providers.endpoint import Endpoint
from streams.providers.providers import Call, Provider, Providers
from streams.providers.retry import RetryPolicy
from streams.providers.sharded_transport import POOL_CALLS, ShardedTransport
from streams.settings import Settings, SettingsError
from tests.unit.flow.samples import pending, until

MAX_ANSWER_BYTES = 100_000
QUICK = RetryPolicy(max_attempts=3, base_delay_s=0.01, max_delay_s=0.05)
API_KEY = "sk-1234567890abcdef"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Rig:
    """A provider over the given addresses; checks at its end that every slot came back."""

    def __init__(
        self, client: httpx2.AsyncClient, urls: list[str], slots: int, timeout_s: float, retry: RetryPolicy
    ) -> None:
        self.endpoints = [Endpoint("sim", url, client, {}, slots, MAX_ANSWER_BYTES, API_KEY) for url in urls]
        self.provider = Provider("sim", ["*"], self.endpoints, slots * len(urls), timeout_s, retry)
        self.providers = Providers([self.provider], time.time)
        self._slots = slots

    def reserve(self, request: PendingRequest) -> Call:
        call = self.providers.reserve(request)
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


@asynccontextmanager
async def rig(*urls: str, slots: int = 4, timeout_s: float = 5.0, retry: RetryPolicy = QUICK) -> AsyncIterator[Rig]:
    transport = ShardedTransport(lambda: httpx2.AsyncHTTPTransport(trust_env=False), idle_s=60.0)
    async with httpx2.AsyncClient(transport=transport, timeout=timeout_s) as client:
        made = Rig(client, list(urls), slots, timeout_s, retry)
        yield made
        made.assert_slots_are_back()


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


async def test_an_answer_comes_with_its_body_usage_and_provider(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(prompt_tokens=11, completion_tokens=7, latency_ms=50))
    assert (outcome.status, outcome.provider, outcome.attempts, outcome.error) == ("ok", "sim", 1, None)
    assert (outcome.usage.prompt_tokens, outcome.usage.completion_tokens, outcome.usage.total_tokens) == (11, 7, 18)
    assert orjson.loads(outcome.payload or b"")["object"] == "chat.completion"
    assert 0.05 <= outcome.provider_s < 2


@pytest.mark.parametrize(
    "hint", [{"status": 500}, {"fault": "reset"}, {"fault": "invalid_json"}, {"fault": "truncated"}]
)
async def test_a_failure_that_passes_is_tried_again(simulator: ProviderSim, hint: dict[str, object]) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", fail_first=1, **hint))
    assert (outcome.status, outcome.attempts, simulator.ledger.counts.by_id) == ("ok", 2, {"r": 2})


@pytest.mark.parametrize(
    "hint", [{"status": 503}, {"fault": "reset"}, {"fault": "invalid_json"}, {"fault": "truncated"}]
)
async def test_a_failure_that_stays_ends_with_the_attempts(simulator: ProviderSim, hint: dict[str, object]) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", **hint))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_error", 3)
    assert outcome.error is not None
    assert outcome.error.retryable
    assert simulator.ledger.counts.by_id == {"r": 3}


async def test_what_the_provider_calls_wrong_is_not_paid_twice(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", status=400))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_error", 1)
    assert outcome.error is not None
    assert not outcome.error.retryable


async def test_a_429_is_tried_again_no_earlier_than_it_says(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        began = time.monotonic()
        outcome = await sim.call(asking(id="r", status=429, retry_after_s=0.4, fail_first=1))
    assert (outcome.status, outcome.attempts) == ("ok", 2)
    assert 0.4 <= time.monotonic() - began < 2


async def test_a_429_that_asks_for_more_time_than_is_left_is_answered_at_once(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        began = time.monotonic()
        outcome = await sim.call(asking(status=429, retry_after_s=60))
    assert (error_type(outcome), outcome.attempts) == ("provider_error", 1)
    assert time.monotonic() - began < 2


async def test_a_provider_that_hangs_is_a_timeout_within_the_limit(simulator: ProviderSim) -> None:
    async with rig(simulator.url, timeout_s=0.5) as sim:
        began = time.monotonic()
        outcome = await sim.call(asking(fault="hang"))
        assert 0.5 <= time.monotonic() - began < 1.5
        await until(lambda: not simulator.ledger.counts.in_flight)
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_timeout", 1)


async def test_retries_do_not_make_the_limit_longer(simulator: ProviderSim) -> None:
    patient = RetryPolicy(max_attempts=20, base_delay_s=0.1, max_delay_s=0.1)
    async with rig(simulator.url, timeout_s=0.6, retry=patient) as sim:
        began = time.monotonic()
        outcome = await sim.call(asking(status=500, latency_ms=100))
        assert time.monotonic() - began < 1.5
    assert outcome.status == "error"
    assert 2 <= outcome.attempts <= 6


async def test_at_its_own_limit_a_request_expires_and_its_call_is_cancelled(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        request = asking(latency_ms=30_000)
        request.expires_at = time.time() + 0.3
        began = time.monotonic()
        outcome = await sim.call(request)
        assert time.monotonic() - began < 1.5
        await until(lambda: simulator.ledger.counts.by_outcome["abandoned"] == 1)
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("expired", "deadline", 1)


async def test_a_request_that_is_late_already_is_not_called(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        request = asking()
        request.expires_at = time.time() - 1
        outcome = await sim.call(request)
    assert (outcome.status, outcome.attempts, simulator.ledger.counts.calls) == ("expired", 0, 0)


async def test_nobody_at_the_address_is_unavailable_and_may_pass() -> None:
    async with rig(f"http://127.0.0.1:{free_port()}/v1") as nobody:
        outcome = await nobody.call(asking())
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_unavailable", 3)
    assert outcome.error is not None
    assert outcome.error.retryable


async def test_the_second_endpoint_is_used_when_the_first_one_fails(simulator: ProviderSim) -> None:
    async with rig(f"http://127.0.0.1:{free_port()}/v1", simulator.url) as both:
        outcomes = [await both.call(asking()) for _ in range(4)]
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
    assert {outcome.attempts for outcome in outcomes} <= {1, 2}
    assert 2 in {outcome.attempts for outcome in outcomes}


async def test_endpoints_take_turns(simulator: ProviderSim) -> None:
    async with ProviderSim() as second, rig(simulator.url, second.url) as both:
        for _ in range(6):
            await both.call(asking())
        assert (simulator.ledger.counts.calls, second.ledger.counts.calls) == (3, 3)


async def test_a_full_provider_gives_no_slot_until_one_is_given_back(simulator: ProviderSim) -> None:
    async with rig(simulator.url, slots=2) as sim:
        first, second = sim.reserve(asking()), sim.reserve(asking())
        assert sim.providers.reserve(asking()) is None
        first.release()
        sim.reserve(asking()).release()
        second.release()


@pytest.mark.parametrize("hint", [{"latency_ms": 30_000}, {"status": 500}])
async def test_cancelled_calls_give_their_slots_back(simulator: ProviderSim, hint: dict[str, object]) -> None:
    slow = RetryPolicy(max_attempts=20, base_delay_s=2.0, max_delay_s=2.0)
    async with rig(simulator.url, slots=8, timeout_s=60, retry=slow) as sim:
        calls = [asyncio.create_task(sim.call(asking(**hint))) for _ in range(8)]
        await until(lambda: simulator.ledger.counts.calls >= 8)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(call.cancelled() for call in calls)
        assert (await sim.call(asking())).status == "ok"


async def test_an_answer_over_the_limit_is_refused_and_never_kept(simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(answer_bytes=MAX_ANSWER_BYTES))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "answer_too_large", 1)


async def test_an_answer_without_end_costs_no_more_memory_than_the_limit() -> None:
    sent = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent += 65_536
            await writer.drain()

    async with serving(endless) as url, rig(url) as provider:
        assert error_type(await provider.call(asking())) == "answer_too_large"
    assert sent < 50 * MAX_ANSWER_BYTES  # what the socket buffers of both sides hold, and no more


async def test_a_compressed_bomb_costs_little_memory() -> None:
    bomb = gzip.compress(b"x" * 200_000_000)

    async def explode(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)
        await writer.drain()

    async with serving(explode) as url, rig(url) as provider:
        tracemalloc.start()
        try:
            outcome = await provider.call(asking())
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error_type(outcome) == "answer_too_large"
    assert peak_bytes < 10_000_000  # of 200: a step of decompression, not the whole


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\xfe garbage \r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: banana\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot gzip!",
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 500_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 429 Busy\r\nretry-after: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_decent_http_is_a_provider_error(answer: bytes) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as url, rig(url, timeout_s=2.0) as provider:
        outcome = await provider.call(asking())
    assert outcome.status == "error"
    assert error_type(outcome) in ("provider_error", "provider_timeout")


async def test_a_key_that_the_provider_quotes_is_in_no_message() -> None:
    async def echo(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = orjson.dumps({"error": {"message": f"Incorrect API key provided: {API_KEY}."}})
        writer.write(b"HTTP/1.1 401 No\r\ncontent-length: " + str(len(said)).encode() + b"\r\n\r\n" + said)
        await writer.drain()

    async with serving(echo) as url, rig(url) as provider:
        outcome = await provider.call(asking())
    assert outcome.error is not None
    assert API_KEY not in outcome.error.message
    assert "Incorrect API key provided" in outcome.error.message


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


# ---- from the settings


def settings(url: str, **provider: object) -> Settings:
    return Settings.model_validate({"providers": [{"name": "sim", "endpoints": [{"url": url}], **provider}]})


async def test_providers_are_built_from_the_settings_and_chosen_by_model(simulator: ProviderSim) -> None:
    several = Settings.model_validate(
        {
            "providers": [
                {"name": "gpt", "models": ["gpt-*"], "endpoints": [{"url": simulator.url}]},
                {"name": "rest", "models": ["small", "large"], "endpoints": [{"url": simulator.url}]},
            ]
        }
    )
    async with AsyncExitStack() as stack:
        providers = await open_providers(several, stack)
        for model, name in (("gpt-9", "gpt"), ("small", "rest")):
            request = pending(model=model)
            call = providers.reserve(request)
            assert isinstance(call, Call)
            assert (await call.call(request)).provider == name
            call.release()
        unknown = providers.reserve(pending(model="\U000e0001" * 256))
        assert isinstance(unknown, Outcome)
        assert unknown.error is not None
        assert (unknown.error.type, unknown.error.retryable) == ("invalid_request", False)
        assert len(unknown.error.message) <= 1024


async def test_the_key_comes_from_the_environment_and_goes_into_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = bytearray()
    done = asyncio.Event()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        done.set()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    keyed = settings("", endpoints=[{"url": f"http://{host}:{port}/v1", "api_key_env": "TEST_KEY"}])
    async with server, AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="TEST_KEY"):
            await open_providers(keyed, stack)
        monkeypatch.setenv("TEST_KEY", API_KEY)
        providers = await open_providers(keyed, stack)
        request = pending()
        call = providers.reserve(request)
        assert isinstance(call, Call)
        calling = asyncio.create_task(call.call(request))
        await asyncio.wait_for(done.wait(), 5)
        calling.cancel()
    assert f"bearer {API_KEY}".encode() in bytes(seen).replace(b"Bearer", b"bearer")
    assert b"POST /v1/chat/completions HTTP/1.1" in seen


async def test_a_provider_and_a_host_get_no_more_calls_than_their_connections(simulator: ProviderSim) -> None:
    limits = settings(
        "", endpoints=[{"url": simulator.url}, {"url": f"{simulator.url}/"}], connections={"max": 3, "per_host": 3}
    )
    async with AsyncExitStack() as stack:
        providers = await open_providers(limits, stack)
        held: list[Call] = []
        while isinstance(call := providers.reserve(pending()), Call):
            held.append(call)
        assert len(held) == 2  # a host's slots are shared between the endpoints on it: 3 // 2 each
        for call in held:
            call.release()


# ---- pools


class CountedPool(httpx2.AsyncHTTPTransport):
    """A pool that says when it was closed."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()


@asynccontextmanager
async def sharded(
    idle_s: float = 60.0,
) -> AsyncIterator[tuple[httpx2.AsyncClient, ShardedTransport, list[CountedPool]]]:
    pools: list[CountedPool] = []

    def make_pool() -> CountedPool:
        pools.append(CountedPool())
        return pools[-1]

    transport = ShardedTransport(make_pool, idle_s)
    async with httpx2.AsyncClient(transport=transport, timeout=10) as client:
        yield client, transport, pools


async def post(client: httpx2.AsyncClient, sim: ProviderSim, **hint: object) -> int:
    payload = asking(**hint).request.payload
    response = await client.post(f"{sim.url}/chat/completions", content=orjson.dumps(payload))
    return response.status_code


async def test_at_low_load_one_pool_serves_all(simulator: ProviderSim) -> None:
    async with sharded() as (client, transport, pools):
        for _ in range(30):
            assert await post(client, simulator) == 200
        assert (len(pools), transport.under_way) == (1, [0])


async def test_pools_grow_with_the_calls_and_are_closed_when_they_were_idle(simulator: ProviderSim) -> None:
    async with sharded(idle_s=0.2) as (client, transport, pools):
        count = 3 * POOL_CALLS
        assert await asyncio.gather(*(post(client, simulator, latency_ms=200) for _ in range(count))) == [200] * count
        assert len(pools) == 3
        await asyncio.sleep(0.25)
        assert await post(client, simulator) == 200
        assert [pool.closed for pool in pools] == [False, True, True]
        assert transport.under_way == [0]
        assert await asyncio.gather(*(post(client, simulator, latency_ms=50) for _ in range(count))) == [200] * count
    assert all(pool.closed for pool in pools)


async def test_calls_that_fail_or_are_cancelled_are_counted_out(simulator: ProviderSim) -> None:
    async with sharded() as (client, transport, _):
        hung = [asyncio.create_task(post(client, simulator, fault="hang")) for _ in range(POOL_CALLS + 3)]
        await until(lambda: simulator.ledger.counts.in_flight == POOL_CALLS + 3)
        assert transport.under_way == [POOL_CALLS, 3]
        broken = [post(client, simulator, fault=fault) for fault in ("reset", "truncated") for _ in range(4)]
        await asyncio.gather(*broken, return_exceptions=True)
        for call in hung:
            call.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        assert not any(transport.under_way)
        assert await post(client, simulator) == 200


async def test_a_simulator_with_every_fault_leaves_no_slot_behind() -> None:
    faults = SimSettings(
        error_share=0.1, rate_limited_share=0.1, retry_after_s=0.01, hang_share=0.1, reset_share=0.1,
        invalid_json_share=0.1, truncated_share=0.1, latency_ms=5,
    )  # fmt: skip
    async with ProviderSim(faults) as simulator, rig(simulator.url, slots=40, timeout_s=1.0) as sim:
        outcomes = await asyncio.gather(*(sim.call(asking()) for _ in range(40)))
        statuses = {outcome.status for outcome in outcomes}
        assert statuses <= {"ok", "error"}
        assert "ok" in statuses
