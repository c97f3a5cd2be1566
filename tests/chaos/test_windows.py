"""Windows on a real broker: a process that is killed while it makes them, and another that goes on, make the reference's."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from ops.admin.tail import TailOptions, tail
from ops.processes.child import ChildProcess
from schemas.metric_sample import MetricSample
from schemas.metric_window import MetricWindow
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import Pipeline, request
from tests.unit.metrics.raw_samples import Scope, as_sent, expected, fleet
from topics.names import METRIC_SAMPLES, METRIC_WINDOWS

pytestmark = [pytest.mark.chaos, pytest.mark.long]

WORKERS = 21
INTERVALS = 498 if FULL else 120
REQUESTS = 50

Found = dict[Scope, list[MetricWindow]]


async def test_windows_of_shuffled_and_repeated_samples_are_the_references_though_their_maker_is_killed(
    pipeline: Pipeline, measured: Measured
) -> None:
    options = pipeline.client_options
    rng = random.Random(11)
    last_end_ms = (int(time.time() * 1000) // 60_000 - 1) * 60_000
    raws = fleet(rng, WORKERS, INTERVALS, last_end_ms - INTERVALS * 10_000)
    wanted = expected(raws)
    sent = as_sent(rng, raws, duplicates=0.1)
    await send(options, sent)

    settings = pipeline.settings(kafka__session_timeout="3s")
    first = maker(pipeline, settings, "first")
    try:
        before = await windows(options, first, until=lambda found: len(found) > 100)
    finally:
        first.send_signal(signal.SIGKILL)
    second = maker(pipeline, settings, "second")
    try:
        began = time.monotonic()
        found = await windows(options, second, until=lambda found: wanted.keys() <= found.keys())
    finally:
        second.stop()

    assert len(before) < len(wanted), "the first one was not killed in the middle"
    for scope, window in wanted.items():
        window.hold(found[scope][0])
    twice = [scope for scope, published in found.items() if len(published) > 1]
    assert all(found[scope][0].to_json() == found[scope][1].to_json() for scope in twice)
    measured(
        f"{len(raws)} samples ({len(sent) - len(raws)} sent twice), {len(wanted)} windows, {len(before)} of them before "
        f"the kill, {len(twice)} published twice and equal, the rest {time.monotonic() - began:.1f} s after it"
    )


async def test_what_waits_and_what_workers_do_is_in_the_windows(pipeline: Pipeline, measured: Measured) -> None:
    quick = {"metrics__interval": "1s", "metrics__aggregation": "2s", "metrics__grace": "2s"}
    making = maker(pipeline, pipeline.settings(**quick), "maker")
    try:
        async with pipeline.fleet(**quick) as fleet, pipeline.traffic() as traffic:
            for number in range(REQUESTS):
                await traffic.send("low", f"agent-{number}", request(f"one-{number}", latency_ms=200))
            waiting = await windows(
                pipeline.client_options, making, until=lambda found: any(map(is_all_waiting, fleets(found)))
            )
            first, _ = await fleet.start(2)
            assert await traffic.wait_answered(60)
            first.signal(signal.SIGTERM)
            assert await first.wait_ended(15)
            for number in range(REQUESTS):  # known by now
                await traffic.send("high", f"agent-{number}", request(f"one-{number}", latency_ms=200))
            assert await traffic.wait_answered(60)
            found = await windows(
                pipeline.client_options,
                making,
                until=lambda found: (
                    answers(found, "fleet") >= 2 * REQUESTS
                    and latest(found).workers == 1
                    and latest(found).application.lag
                    == {"high": 0, "normal": 0, "low": 0}  # the last commits are a moment later
                ),
            )
    finally:
        making.stop()

    assert all(window.workers == 0 for window in fleets(waiting))
    assert answers(found, "fleet") == 2 * REQUESTS
    workers = {scope for scope, _ in found} - {"fleet"}
    assert len(workers) == 2
    assert sum(answers(found, worker) for worker in workers) == 2 * REQUESTS
    by_component = Counter[str]()
    for window in fleets(found):
        for series in window.application.series:
            by_component[series.component or ""] += series.answered
    assert by_component["providers"] == REQUESTS
    busiest = max(fleets(found), key=lambda window: sum(window.application.answered.values()))
    latency = busiest.application.request_latency
    assert latency is not None
    assert sum(latency.counts) == sum(busiest.application.answered.values())
    assert latest(found).application.queue_length == 0
    assert latest(found).system.cpu_usage is not None
    assert latest(found).system.memory_share is not None
    measured(f"{len(found)} windows, {dict(by_component)}, {len(workers)} workers, one of them ended by SIGTERM")


def is_all_waiting(window: MetricWindow) -> bool:
    """Whether the window says that the requests wait in Kafka, and for how long."""
    application = window.application
    return application.lag == {"high": 0, "normal": 0, "low": REQUESTS} and (application.oldest_wait_s or 0) > 1


def fleets(found: Found) -> list[MetricWindow]:
    """The fleet's windows."""
    return [published[0] for (scope, _), published in found.items() if scope == "fleet"]


def latest(found: Found) -> MetricWindow:
    return max(fleets(found), key=lambda window: window.end)


def answers(found: Found, scope: str) -> int:
    return sum(sum(published[0].application.answered.values()) for (of, _), published in found.items() if of == scope)


def maker(pipeline: Pipeline, settings: Path, name: str) -> ChildProcess:
    command = [sys.executable, "-m", "tests.chaos.window_process", str(settings), f"{pipeline.group_id}-control"]
    return ChildProcess(command, pipeline.directory / f"{name}.log")


async def send(options: Mapping[str, Any], samples: Sequence[MetricSample]) -> None:
    async with AIOKafkaProducer(**options) as producer:
        acks = [
            await producer.send(METRIC_SAMPLES, each.to_json(), each.worker_id.encode(), partition=0)
            for each in samples
        ]
        await asyncio.gather(*acks)


async def windows(options: Mapping[str, Any], child: ChildProcess, until: Callable[[Found], bool]) -> Found:
    """All windows on the topic by scope and end, as soon as they are enough."""
    found: Found = {}
    async with (
        asyncio.timeout(60),
        aclosing(tail(options, TailOptions(METRIC_WINDOWS, from_beginning=True))) as records,
    ):
        async for record in records:
            window = MetricWindow.model_validate_json(record.value)
            assert record.key.decode() == window.scope
            found.setdefault((window.scope, round(window.end.timestamp() * 1000)), []).append(window)
            if until(found):
                return found
            assert child.alive(), child.last_words()
    return found
