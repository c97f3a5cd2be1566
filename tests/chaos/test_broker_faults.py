"""The broker stops, is not there, or lacks topics; the dead-letter topic is taken away."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ops.brokers.ready import free_ports
from ops.processes.fleet import WorkerProcess
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, delete_topics, request, send_steadily
from tests.support.stopwatch import Stopwatch
from topics.names import REQUEST_TOPICS

pytestmark = pytest.mark.chaos

STOPPED_S = 20
START_FAILS_WITHIN_S = 60
DRAIN_S = 2
AFTER_DRAIN_S = 5
"""What docs/operating.md grants a worker above its drain deadline before it is killed."""


@pytest.mark.timeout(180)
async def test_nothing_is_lost_when_the_broker_stands_still_for_20_s(pipeline: Pipeline, measured: Measured) -> None:
    values = [request(f"still-{n}", latency_ms=500) for n in range(30 * (STOPPED_S + 8))]
    assert pipeline.broker.pid is not None
    async with pipeline.fleet(kafka__session_timeout="3s") as fleet, pipeline.traffic() as traffic:
        workers = await fleet.start(2)
        await pipeline.wait_members(2, 60)
        sending = asyncio.create_task(send_steadily(traffic, values, 30))
        await pipeline.simulator.wait_in_flight(10)
        os.kill(pipeline.broker.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOPPED_S)
        finally:
            os.kill(pipeline.broker.pid, signal.SIGCONT)
        watch = Stopwatch()
        await sending
        assert await traffic.wait_answered(60)
        all_answered_s = watch.running_s
        await pipeline.wait_all_committed(60)
        assert all(worker.alive for worker in workers)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    measured(f"all answered {all_answered_s:.1f} s after the broker went on; {summary}")

    assert lost == []
    assert summary.sent == len(values)
    assert summary.ok >= 0.999 * summary.sent


@pytest.mark.parametrize("calls", [0, 20], ids=["idle", "answers without an ack"])
async def test_a_worker_whose_broker_is_gone_ends_in_time_and_loses_nothing(
    pipeline: Pipeline, measured: Measured, calls: int
) -> None:
    assert pipeline.broker.pid is not None
    async with (
        pipeline.fleet(kafka__drain_deadline=f"{DRAIN_S}s", kafka__session_timeout="3s") as fleet,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        for number in range(calls):
            await traffic.send("normal", f"gone-{number}", request(f"gone-{number}", latency_ms=1_000))
        await pipeline.simulator.wait_in_flight(calls)
        os.kill(pipeline.broker.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(2)  # the calls end, and nobody takes their answers
            watch = Stopwatch()
            worker.signal(signal.SIGTERM)
            in_time = await worker.wait_ended(60)
            took_s = watch.running_s
        finally:
            os.kill(pipeline.broker.pid, signal.SIGCONT)
        await fleet.start(1)
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    measured(f"ended {took_s:.1f} s after SIGTERM, deadline {DRAIN_S} s; {summary}")

    assert in_time
    assert worker.exit_code == 0
    assert took_s <= DRAIN_S + AFTER_DRAIN_S
    assert (summary.ok, summary.lost) == (calls, 0)


async def test_a_broker_that_is_not_there_is_one_clear_line_and_exit_code_2(
    pipeline: Pipeline, measured: Measured
) -> None:
    (port,) = free_ports(1)
    line, took_s = await start_and_fail(pipeline, pipeline.settings(kafka__bootstrap_servers=f"127.0.0.1:{port}"))
    measured(f"ended after {took_s:.1f} s: {line}")
    assert f"127.0.0.1:{port}" in line
    assert line.count("kafka.bootstrap_servers") == 1


async def test_a_broker_without_our_topics_is_one_clear_line_and_exit_code_2(
    pipeline: Pipeline, measured: Measured
) -> None:
    await delete_topics(pipeline.client_options, REQUEST_TOPICS[:1])
    line, took_s = await start_and_fail(pipeline, pipeline.settings())
    measured(f"ended after {took_s:.1f} s: {line}")
    assert REQUEST_TOPICS[0] in line
    assert line.count("headrace topics apply") == 1


async def start_and_fail(pipeline: Pipeline, settings: Path) -> tuple[str, float]:
    """Start a worker that cannot start: the one line that it says, and how long it took."""
    watch = Stopwatch()
    worker = WorkerProcess("w0", settings, pipeline.directory / "w0.log")
    try:
        assert await worker.wait_ended(START_FAILS_WITHIN_S)
    finally:
        worker.kill()
    assert worker.exit_code == 2
    (line,) = worker.log_text().splitlines()
    return line, watch.running_s
