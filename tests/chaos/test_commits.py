"""Commits on a broker that takes less metadata than Kafka does by default."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from ops.brokers import Broker, kafka_jars
from ops.brokers.apache import ApacheBroker
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, agent_on, fresh_topics, request, wait_until
from tests.support.simulator import Simulator

pytestmark = pytest.mark.chaos

SLOW_S, SCATTERED, OTHERS = 20, 300, 300


@pytest.fixture
def small_metadata() -> Iterator[Broker]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    with ApacheBroker(settings={"offset.metadata.max.bytes": "64"}) as started:
        yield started


@pytest.mark.timeout(180)
async def test_a_broker_that_takes_64_bytes_of_metadata_gets_commits_and_the_other_partitions_are_not_repeated(
    small_metadata: Broker, tmp_path: Path, unique: Callable[[str], str], measured: Measured
) -> None:
    """parallel-consumer#647 in kind; KAFKA.md K10: 954 were answered twice, 541 paid again."""
    await fresh_topics({"bootstrap_servers": small_metadata.bootstrap_servers})
    async with Simulator(tmp_path) as simulator:
        pipeline = Pipeline(small_metadata, unique("workers"), tmp_path, simulator)
        async with (
            pipeline.fleet(kafka__session_timeout="3s") as fleet,
            pipeline.traffic() as traffic,
        ):
            (worker,) = await fleet.start(1)
            chance = Random(7)
            quick = 0
            for number in range(SCATTERED):  # more holes than the metadata can tell
                slow = number == 0 or chance.random() < 0.2
                quick += not slow
                latency_ms = SLOW_S * 1000 if slow else 20
                await traffic.send("normal", agent_on(0), request(f"scattered-{number}", latency_ms=latency_ms))
            for number in range(OTHERS):
                await traffic.send("normal", agent_on(1 + number % 5), request(f"other-{number}", latency_ms=20))

            async def all_quick_are_answered() -> bool:
                return traffic.ledger.summary().ok >= quick + OTHERS

            await wait_until(all_quick_are_answered, 60)

            async def the_others_are_committed() -> bool:
                """With a hole in it, partition 0 is not."""
                left = await pipeline.unfinished()
                return {number for topic, number in left} == {0}

            await wait_until(the_others_are_committed, SLOW_S - 5)
            worker.signal(signal.SIGKILL)
            assert await worker.wait_ended(5)
            lines = worker.log_text()
            await fleet.start(1)
            assert await traffic.wait_answered(60)
            summary = traffic.ledger.summary()
            twice = {name for name, times in (await pipeline.answered_at_ms()).items() if len(times) > 1}
    measured(str(summary))
    assert (summary.lost, summary.ok) == (0, SCATTERED + OTHERS)
    assert lines.count("the broker takes less metadata") >= 1
    assert "commit failed" not in lines
    assert not [name for name in twice if name.startswith("other")]
    assert len(twice) < quick
