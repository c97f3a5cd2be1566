"""What tests of scaling share: windows as the control writes them, decisions as the topic holds them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from ops.processes.fleet import WorkerProcess
from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision
from streams.scaling.log import DecisionLog, read_decision
from tests.support.pipeline import Pipeline, wait_until
from tests.support.positions import read_all
from topics.names import METRIC_WINDOWS, SCALING_DECISIONS

QUICK: dict[str, object] = {
    "metrics.interval": "1s",
    "metrics.aggregation": "1s",
    "scaling.limits.min": 1,
    "scaling.limits.max": 10,
    "scaling.triggers.cpu.duration": "3s",
    "scaling.triggers.memory.duration": "3s",
    "scaling.triggers.queue.length": 100,
    "scaling.scale_in.duration": "4s",
    "scaling.cooldown": "6s",
    "scaling.stale_after": "10s",
}
"""A minute is a second here."""


def dotted(values: dict[str, object]) -> dict[str, object]:
    """Settings as `Pipeline.settings` takes them."""
    return {name.replace(".", "__"): value for name, value in values.items()}


async def decisions(pipeline: Pipeline) -> list[ScalingDecision]:
    """The records in force, in their order."""
    log, found = DecisionLog(), []
    for record in await read_all(pipeline.client_options, [SCALING_DECISIONS]):
        decision = read_decision(record.value)
        if decision is not None and log.note(decision):
            found.append(decision)
    return found


async def wait_decision(
    pipeline: Pipeline, wanted: Callable[[ScalingDecision], bool], timeout_s: float
) -> ScalingDecision:
    """The first decision in force that is as wanted."""
    found: list[ScalingDecision] = []

    async def is_there() -> bool:
        found[:] = [each for each in await decisions(pipeline) if wanted(each)]
        return bool(found)

    await wait_until(is_there, timeout_s)
    return found[0]


def fleet_window(end_s: float, length_s: float = 1.0, **figures: Any) -> bytes:
    """A fleet window of so many workers, idle unless `figures` say otherwise."""
    workers = figures.get("workers", 1)
    answered = round(figures.get("throughput_per_s", 10.0) * length_s)
    window = {
        "scope": "fleet",
        "start": datetime.fromtimestamp(end_s - length_s, UTC),
        "end": datetime.fromtimestamp(end_s, UTC),
        "samples": workers,
        "samples_expected": workers,
        "workers": workers,
        "system": {"cpu_usage": figures.get("cpu", 0.1), "memory_share": 0.2},
        "application": {
            "queue_length": figures.get("queued", 0.0),
            "answered": {"ok": answered},
            "error_rate": 0.0,
            "throughput_per_s": figures.get("throughput_per_s", 10.0),
            "lag": {"high": 0.0, "normal": 0.0, "low": 0.0},
            "oldest_wait_s": figures.get("wait_s", 0.0),
        },
        "provider_limited": figures.get("provider_limited", False),
    }
    raw = orjson.dumps(window)
    MetricWindow.model_validate_json(raw)
    return raw


class Windows:
    """Writes a fleet window each second, with the figures that were set last."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}

    @asynccontextmanager
    async def written(self, pipeline: Pipeline) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(**pipeline.client_options)
        await producer.start()
        writing = asyncio.create_task(self._write(producer))
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await producer.stop()

    async def _write(self, producer: AIOKafkaProducer) -> None:
        end_s = int(time.time())
        while True:
            await producer.send_and_wait(METRIC_WINDOWS, fleet_window(end_s, **self.figures), b"fleet")
            end_s += 1
            await asyncio.sleep(max(0.0, end_s - time.time()))


def control_process(pipeline: Pipeline, settings: Path, name: str) -> WorkerProcess:
    """A `headrace control`, started."""
    return WorkerProcess(name, settings, pipeline.directory / f"{name}.log", command="control")
