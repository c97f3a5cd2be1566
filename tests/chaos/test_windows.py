"""Windows on a real broker: a process that is killed while it makes them, and another that goes on, make the reference's."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from ops.brokers import Broker
from ops.process import ChildProcess
from ops.tail import TailOptions, tail
from schemas.metric_sample import MetricSample
from schemas.metric_window import MetricWindow
from tests.chaos.fixtures import Measured
from tests.chaos.pipeline import fresh_topics
from tests.unit.metrics.raw_samples import Scope, as_sent, expected, fleet
from topics.names import METRIC_SAMPLES, METRIC_WINDOWS

pytestmark = pytest.mark.chaos

INTERVALS, WORKERS = 498, 21


async def test_the_windows_of_ten_thousand_samples_are_the_references_though_their_maker_is_killed(
    kafka: Broker, unique: Callable[[str], str], tmp_path: Path, measured: Measured
) -> None:
    options = {"bootstrap_servers": kafka.bootstrap_servers}
    await fresh_topics(options)
    rng = random.Random(11)
    last_end_ms = (int(time.time() * 1000) // 60_000 - 1) * 60_000
    raws = fleet(rng, WORKERS, INTERVALS, last_end_ms - INTERVALS * 10_000)
    wanted = expected(raws)
    sent = as_sent(rng, raws, duplicates=0.1)
    await send(options, sent)

    group = unique("control")
    first = maker(kafka, group, tmp_path / "first.log")
    try:
        before = await windows(options, first, until=lambda found: len(found) > 100)
    finally:
        first.send_signal(signal.SIGKILL)
    second = maker(kafka, group, tmp_path / "second.log")
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


def maker(kafka: Broker, group: str, log_file: Path) -> ChildProcess:
    command = [sys.executable, "-m", "tests.chaos.window_process", kafka.bootstrap_servers, group]
    return ChildProcess(command, log_file)


async def send(options: Mapping[str, Any], samples: Sequence[MetricSample]) -> None:
    async with AIOKafkaProducer(**options) as producer:
        acks = [
            await producer.send(METRIC_SAMPLES, each.to_json(), each.worker_id.encode(), partition=0)
            for each in samples
        ]
        await asyncio.gather(*acks)


Found = dict[Scope, list[MetricWindow]]


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
