"""Streams outlive their workers, their fronts and the brokers, killed with kill -9 at random moments."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.brokers.base import YourBroker
from ops.brokers.cluster import ApacheCluster
from streams.front.request_records import RequestRecords
from streams.kafka import provision
from tests.chaos.outliving import TOKENS, Told, World, expected, read_all, world_of
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.simulator import Simulator
from topics import catalogue
from topics.names import REQUESTS_NORMAL

pytestmark = pytest.mark.chaos

RESUMED, BEGUN_AGAIN = ("reattach", "continue"), ("restart", "error")


def named(policies: tuple[str, ...], count: int) -> list[tuple[str, str]]:
    return [(policies[n % len(policies)], f"{policies[n % len(policies)]}-{n}") for n in range(count)]


async def assert_promises(told: list[Told], simulator: Simulator, measured: Measured, kills: dict[str, int]) -> None:
    made = defaultdict[str, Counter[str]](
        Counter, {name: Counter(each) for name, each in (await simulator.generations()).items()}
    )
    resumed = [each for each in told if each.policy in RESUMED]
    others = [each for each in told if each.policy not in RESUMED]
    paid = sum(made[each.name]["tokens"] for each in resumed if each.policy == "reattach")
    reattached = [each for each in resumed if each.policy == "reattach"]
    twice = [each.name for each in resumed if made[each.name]["begun"] > 1]
    measured(
        f"{len(resumed)} streams gone on with: {sum(each.text == expected(each.policy, each.name) for each in resumed)} whole, "
        f"{Counter(end for each in resumed for end in each.ends)}, attached {sum(made[e.name]['attached'] for e in resumed)}, "
        f"continued {sum(made[e.name]['continued'] for e in resumed)}, restarts {sum(e.restarts for e in resumed)}, "
        f"second answers {len(twice)}, reconnects {sum(e.reconnects for e in resumed)}, "
        f"tokens paid {paid} of {len(reattached) * TOKENS} by reattach"
    )
    measured(f"{len(others)} others: {Counter((e.policy, *e.ends) for e in others)}, kills {kills}")
    uncalled = [(each.name, each.ends, each.reconnects) for each in told if not made[each.name]]
    assert not uncalled, f"never called: {uncalled}"
    late = [(each.name, len(each.text), each.reconnects) for each in told if not each.ends]
    assert not late, f"without an end in time: {late}"
    wrong = [each for each in resumed if each.text != expected(each.policy, each.name)]
    assert not wrong, [(each.name, each.ends, each.restarts, each.text[:80]) for each in wrong[:5]]
    assert all(each.ends == ["done"] for each in resumed)
    assert all(each.answer == each.text for each in resumed), "the answer's record says what the client saw"
    assert all(len(each.ends) == 1 for each in told)
    assert all(e.text == expected(e.policy, e.name) == e.answer for e in others if e.ends == ["done"])
    assert not any(each.restarts for each in resumed), "what was told once is not void"
    assert len(twice) <= len(resumed) // 50, f"begun again although the upstream had said who it is: {twice}"


async def kill_one_after_the_other(world: World, every_s: tuple[float, float], seed: int) -> None:
    chosen = random.Random(seed)
    while True:
        await asyncio.sleep(chosen.uniform(*every_s))
        await chosen.choice((world.kill_worker, world.kill_front))()


async def test_streams_survive_kills_of_workers_and_fronts(pipeline: Pipeline, measured: Measured) -> None:
    """They last longer than their class may wait: what a new owner takes over was begun in time."""
    await pipeline.simulator.configure(per_token_ms=60)
    async with world_of(pipeline, fronts=2, workers=2, seed=7, queueing__timeout__normal="8s") as world:
        reading = asyncio.create_task(read_all(world, named((*RESUMED, *BEGUN_AGAIN), 24), 24))
        await pipeline.simulator.wait_in_flight(24)
        await asyncio.sleep(2)  # so that each has told who its upstream is
        await asyncio.gather(world.kill_front(), world.kill_worker())
        await assert_promises(await reading, pipeline.simulator, measured, world.kills)


@pytest.mark.long
@pytest.mark.skipif(not FULL, reason="takes minutes; the test above kills a worker and a front; TEST_FULL=1 runs it")
@pytest.mark.timeout(600)
async def test_300_streams_survive_kills_of_workers_fronts_and_brokers(
    tmp_path: Path, unique: Callable[[str], str], measured: Measured
) -> None:
    streams = named(RESUMED, 300) + named(BEGUN_AGAIN, 60)
    random.Random(3).shuffle(streams)
    async with ApacheCluster(print) as cluster, Simulator(tmp_path) as simulator:
        for node in cluster.nodes:
            cluster.advertise(node, node.direct)
        pipeline = Pipeline(YourBroker(cluster.direct_servers), unique("workers"), tmp_path, simulator)
        report = await provision.apply(pipeline.client_options, catalogue(PARTITIONS, replication_factor=3))
        assert not report.differences
        await simulator.configure(per_token_ms=120)
        settings = {"topics__replication_factor": 3, "kafka__session_timeout": "6s"}
        async with world_of(pipeline, fronts=3, workers=3, seed=11, **settings) as world:
            killing = [
                asyncio.create_task(kill_one_after_the_other(world, (5, 12), 5)),
                asyncio.create_task(_kill_brokers(cluster, world)),
            ]
            told = await read_all(world, streams, 60)
            for task in killing:
                task.cancel()
            await asyncio.gather(*killing, return_exceptions=True)
            await assert_promises(told, simulator, measured, world.kills)


async def _kill_brokers(cluster: ApacheCluster, world: World) -> None:
    """One after the other: each leads a third of all partitions."""
    for turn in range(1_000):
        await asyncio.sleep(25)
        node = cluster.nodes[turn % len(cluster.nodes)]
        cluster.kill(node)
        world.kills["broker"] += 1
        await asyncio.sleep(5)
        cluster.start(node)
        await cluster.wait_live(node, 3)


async def test_a_broker_that_does_not_answer_makes_no_stranger_of_a_request(pipeline: Pipeline) -> None:
    """A front that found its own answer on the log, and could not look at the request's record in time, never told it."""
    assert pipeline.broker.pid is not None
    async with AIOKafkaProducer(**pipeline.client_options) as producer:
        value = orjson.dumps({"request_id": "r-1"})
        written = await producer.send_and_wait(REQUESTS_NORMAL, value, partition=0)
    async with RequestRecords(pipeline.client_options, pipeline.names.requests, "r-1") as records:
        assert not await records.names(f"{REQUESTS_NORMAL}:1:0".encode())
        os.kill(pipeline.broker.pid, signal.SIGSTOP)
        try:
            asking = asyncio.create_task(records.names(f"{REQUESTS_NORMAL}:0:{written.offset}".encode()))
            await asyncio.sleep(7)
        finally:
            os.kill(pipeline.broker.pid, signal.SIGCONT)
        assert await asking
