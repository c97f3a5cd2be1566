"""Small pools behind one transport: when they are made, counted out and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import orjson

from ops.provider_sim import ProviderSim
from streams.providers.http.sharded_transport import POOL_CALLS, ShardedTransport
from tests.integration.provider_rig import asking
from tests.support.requests import until


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
