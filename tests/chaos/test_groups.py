"""A group that refuses: one line and exit 2 at the start; while a worker runs it waits, says so, and goes on when it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from ops.brokers import Broker, kafka_jars
from ops.brokers.apache import ApacheBroker
from ops.processes.fleet import WorkerProcess
from tests.support.acls import ACLS, Acls
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, fresh_topics, request, send_steadily, wait_until
from tests.support.simulator import Simulator
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.chaos

WITHIN_S = 15
"""From the first refusal on: it gives up after 3 s, and its end takes a busy machine some more."""
STARTED_S = 40


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """Authorization is on, everybody may do everything until an ACL denies it, and a group has one member at most."""
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    with ApacheBroker(settings={**ACLS, "group.max.size": "1"}) as started:
        yield started


@pytest.fixture
async def pipeline(guarded: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Pipeline]:
    await fresh_topics({"bootstrap_servers": guarded.bootstrap_servers})
    async with Simulator(tmp_path) as simulator:
        yield Pipeline(guarded, unique("workers"), tmp_path, simulator)


async def start_and_fail(pipeline: Pipeline, name: str = "refused") -> tuple[str, float]:
    """The lines at warning and above of a worker that may not take part, and how long it took to end."""
    watch = Stopwatch()
    worker = WorkerProcess(name, pipeline.settings(), pipeline.directory / f"{name}.log")
    try:
        assert await worker.wait_ended(STARTED_S)
    finally:
        worker.kill()
    took_s, ended_at = watch.running_s, datetime.now(UTC)
    text = worker.log_text()
    assert worker.exit_code == 2, text
    assert "Traceback" not in text
    refused = [line for line in text.splitlines() if "does not take this process now" in line]
    if refused:  # else the check of the start has seen it, before the group was asked
        waited_s = (ended_at - datetime.fromisoformat(orjson.loads(refused[0])["timestamp"])).total_seconds()
        assert waited_s < WITHIN_S
    return text, took_s


@asynccontextmanager
async def member(pipeline: Pipeline, **options: Any) -> AsyncIterator[None]:
    """Somebody else in the group."""
    consumer = AIOKafkaConsumer("agent.requests.low", **pipeline.client_options, group_id=pipeline.group_id, **options)
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
        yield
    finally:
        await consumer.stop()


@pytest.mark.timeout(120)
async def test_a_group_that_may_not_be_read_is_one_line_and_exit_code_2(pipeline: Pipeline, measured: Measured) -> None:
    """aiokafka#344 in kind: GROUP_AUTHORIZATION_FAILED."""
    async with Acls(pipeline.client_options) as acls:
        await acls.deny_group(pipeline.group_id)
        text, took_s = await start_and_fail(pipeline)
    measured(f"{took_s:.1f} s: {text.splitlines()[-1]}")
    # The first check names the ACL; where the broker has not yet heard of it then, the group's coordinator refuses.
    said = text.splitlines()[-1]
    assert f"an ACL is missing, this user needs Read on group {pipeline.group_id}" in said or (
        f"the group {pipeline.group_id} refuses this process" in said and "needs Read on that group" in said
    )


@pytest.mark.timeout(120)
async def test_a_full_group_and_one_of_another_kind_are_one_line_and_exit_code_2(
    pipeline: Pipeline, measured: Measured
) -> None:
    """aiokafka#1154 in kind. A group of one member at most is full before its protocols are compared."""
    async with member(pipeline, partition_assignment_strategy=[RangePartitionAssignor]):
        text, took_s = await start_and_fail(pipeline)
    measured(f"{took_s:.1f} s: {text.splitlines()[-1]}")
    assert (
        "(GROUP_MAX_SIZE_REACHED)" in text.splitlines()[-1] or "(INCONSISTENT_GROUP_PROTOCOL)" in text.splitlines()[-1]
    )


@pytest.mark.timeout(180)
async def test_a_worker_whose_group_is_taken_away_waits_says_so_and_goes_on(
    pipeline: Pipeline, measured: Measured
) -> None:
    """KAFKA.md K6: it ended with a traceback."""
    values = [request(f"taken-{n}", latency_ms=100) for n in range(20 * 20)]
    async with (
        Acls(pipeline.client_options) as acls,
        pipeline.fleet(kafka__session_timeout="3s") as fleet,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        sending = asyncio.create_task(send_steadily(traffic, values, 20))
        await asyncio.sleep(3)
        await acls.deny_group(pipeline.group_id)

        async def it_says_so() -> bool:
            return "the group does not take this process now" in worker.log_text()

        await wait_until(it_says_so, 60)
        await asyncio.sleep(5)  # in which it waits, and does not say it again and again
        assert worker.alive
        await acls.allow_group(pipeline.group_id)
        watch = Stopwatch()

        async def is_caught_up() -> bool:
            return traffic.open <= 20

        await wait_until(is_caught_up, 60)
        healed_s = watch.running_s
        await sending
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        assert worker.alive
        text, summary = worker.log_text(), traffic.ledger.summary()
    measured(f"healed {healed_s:.1f} s after; {summary}")
    assert (summary.lost, summary.ok) == (0, len(values))
    assert healed_s < 15
    assert "Traceback" not in text
    assert text.count("the group does not take this process now") <= 3
