"""Partitions change hands: how long nobody serves them, and what is paid twice for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count, pairwise

import pytest

from ops.load.traffic import Traffic
from tests.support.fixtures import Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, request
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.chaos

SLOW_MS = 8_000
PROBE_EVERY_S = 0.05


@asynccontextmanager
async def probes(traffic: Traffic) -> AsyncIterator[dict[str, tuple[int, float]]]:
    """A small request each 50 ms, partition after partition, while the block runs: id -> partition, Unix time of sending."""
    sent: dict[str, tuple[int, float]] = {}

    async def probe() -> None:
        for n in count():
            name, partition = f"probe-{n}", n % PARTITIONS
            sent[name] = (partition, time.time())
            await traffic.send("normal", agent_on(partition), request(name))
            await asyncio.sleep(PROBE_EVERY_S)

    probing = asyncio.create_task(probe())
    try:
        yield sent
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)


async def send_slow(traffic: Traffic, of_each: int) -> dict[str, int]:
    """Slow calls on every partition: id -> partition."""
    slow = {f"slow-{partition}-{n}": partition for partition in range(PARTITIONS) for n in range(of_each)}
    for name, partition in slow.items():
        await traffic.send("normal", agent_on(partition), request(name, latency_ms=SLOW_MS))
    return slow


async def test_a_dead_workers_partitions_are_served_again_within_12_s(pipeline: Pipeline, measured: Measured) -> None:
    async with pipeline.fleet(kafka__session_timeout="6s") as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        before = await pipeline.wait_members(2, 60)
        slow = await send_slow(traffic, of_each=2)
        await pipeline.simulator.wait_in_flight(len(slow))
        async with probes(traffic) as sent:
            killed_at, watch = time.time(), Stopwatch()
            fleet.workers[0].kill()
            after = await pipeline.wait_members(1, 60)
            await asyncio.sleep(1)
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    still_s = watch.still_s
    (survivor,) = after
    moved = set(range(PARTITIONS)) - before[survivor]
    ends = await pipeline.answered_at_ms()
    served_again_s = max(
        min(
            ends[name][0] / 1000 - killed_at
            for name, (number, at) in sent.items()
            if number == partition and at > killed_at
        )
        for partition in moved
    )
    calls = pipeline.simulator.calls_by_id()
    measured(f"served again {served_again_s:.1f} s after kill -9; {summary}")

    assert len(moved) == PARTITIONS / 2
    assert lost == []
    assert summary.ok == summary.sent
    assert served_again_s <= 12 + still_s
    assert {slow[name] for name in slow if calls[name] > 1} == moved


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "most_s", [pytest.param(3, marks=pytest.mark.alone), 10], ids=["with the machine to itself", "beside others"]
)
async def test_a_worker_that_joins_disturbs_no_call_on_partitions_that_stay(
    pipeline: Pipeline, measured: Measured, most_s: float
) -> None:
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        before = await pipeline.wait_members(2, 60)
        slow = await send_slow(traffic, of_each=3)
        await pipeline.simulator.wait_in_flight(len(slow))
        watch = Stopwatch()
        async with probes(traffic) as sent:
            await fleet.start(1)
            after = await pipeline.wait_members(3, 60)
            await asyncio.sleep(1)
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
        assert all(worker.alive for worker in fleet.workers)
    stayed = {number for member, numbers in before.items() for number in numbers & after[member]}
    ends = await pipeline.answered_at_ms()
    pause_s = longest_gap_s(ends[name][0] for name in sent)
    calls = pipeline.simulator.calls_by_id()
    repeated = {name for name in [*slow, *sent] if calls[name] > 1}
    measured(
        f"longest pause {pause_s:.2f} s, {len(stayed)} partitions stayed, {len(repeated)} calls repeated; {summary}"
    )

    assert lost == []
    assert summary.ok == summary.sent
    assert len(stayed) == PARTITIONS - PARTITIONS / 3
    assert {name for name in repeated if (slow[name] if name in slow else sent[name][0]) in stayed} == set()
    assert max(calls.values()) <= 2
    assert pause_s <= most_s + watch.still_s


def longest_gap_s(times_ms: Iterable[int]) -> float:
    """The longest time between one and the next."""
    return max(after - before for before, after in pairwise(sorted(times_ms))) / 1000
