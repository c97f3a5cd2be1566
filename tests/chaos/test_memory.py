"""A worker under more load than its memory holds: it stays below its budget, loses nothing, and hardly slows down."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil
import pytest

from ops.processes.fleet import WorkerProcess
from streams.governor.budget import CGROUP_SHARE
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import Pipeline, fresh_topics, request

pytestmark = [pytest.mark.chaos, pytest.mark.alone]

REQUESTS = 12_000 if FULL else 1_200
PROMPT_BYTES, ANSWER_TOKENS = 30_000, 30_000  # 120 KB of answer
WINDOW = 500
"""Requests that are open at most."""
LEAST_PACE = 0.8
"""Of the pace without the budget."""
THRESHOLD = 0.75
"""Share of the budget from which on the governor acts (`gc.threshold`)."""
BUDGET_BYTES = 400_000_000 if FULL else 280_000_000
"""Without it a worker comes to 1 GB in the full load, and to 440 MB in the short one."""
SAMPLE_S = 0.1
MOST_ABOVE_S = 0.3
"""A hundredth of the full load's time, in which it climbs to its budget once; so does the short one, in a tenth of the time."""


@dataclass(slots=True)
class Memory:
    """Resident memory of a worker, sampled from outside."""

    samples: list[int] = field(default_factory=list)

    @property
    def highest(self) -> int:
        return max(self.samples)

    def over_s(self, limit_bytes: int) -> float:
        """Seconds above the limit."""
        return sum(sample >= limit_bytes for sample in self.samples) * SAMPLE_S


@asynccontextmanager
async def sampled(worker: WorkerProcess) -> AsyncIterator[Memory]:
    memory, process = Memory(), psutil.Process(worker.pid)

    async def sample() -> None:
        while True:
            memory.samples.append(process.memory_info().rss)
            await asyncio.sleep(SAMPLE_S)

    sampling = asyncio.create_task(sample())
    try:
        yield memory
    finally:
        sampling.cancel()


def large(name: str) -> dict[str, object]:
    """A request of 30 KB whose answer, 120 KB, nobody else asks for: the cache keeps it."""
    value = request(name, completion_tokens=ANSWER_TOKENS, latency_ms=200)
    value["payload"]["messages"] = [{"role": "user", "content": name + "?" * PROMPT_BYTES}]
    value["payload"]["max_tokens"] = ANSWER_TOKENS
    return value


async def run(pipeline: Pipeline, budget: str) -> tuple[Memory, float, str]:
    """Memory under the load, requests a second, and the worker's log."""
    await fresh_topics(pipeline.client_options)
    async with (
        pipeline.fleet(memory__budget=budget, cache__disk__path=str(pipeline.directory / budget)) as fleet,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        async with sampled(worker) as memory:
            began = time.monotonic()
            for number in range(REQUESTS):
                while traffic.open >= WINDOW:  # noqa: ASYNC110 - answers come from another process
                    await asyncio.sleep(0.005)
                await traffic.send("normal", f"agent-{number % 100}", large(f"{budget}-{number}"))
            assert await traffic.wait_answered(120)
            took_s = time.monotonic() - began
        summary = traffic.ledger.summary()
        assert worker.alive
    assert (summary.ok, summary.lost, summary.duplicates) == (REQUESTS, 0, 0)
    return memory, REQUESTS / took_s, worker.log_text()


@pytest.mark.timeout(600)
async def test_a_worker_that_is_pushed_to_its_memory_budget_stays_below_it_and_keeps_its_pace(
    pipeline: Pipeline, measured: Measured
) -> None:
    """The pace is compared in full size only: a short run on a busy machine says nothing about it."""
    normal = await run(pipeline, "4GB") if FULL else None
    tight, tight_per_s, log = await run(pipeline, f"{BUDGET_BYTES // 1_000_000}MB")
    measured(
        f"budget {BUDGET_BYTES / 1e6:.0f} MB: at most {tight.highest / 1e6:.0f} MB in {len(tight.samples)} samples, "
        f"{tight.over_s(BUDGET_BYTES):.1f} s above it, "
        f"{tight_per_s:.0f} requests/s; held: {'memory is short' in log}"
    )
    if normal is not None:
        free, normal_per_s, _ = normal
        measured(
            f"without: {free.highest / 1e6:.0f} MB, {normal_per_s:.0f} requests/s ({tight_per_s / normal_per_s:.0%})"
        )
        assert free.highest > BUDGET_BYTES * 1.2
        assert tight_per_s >= LEAST_PACE * normal_per_s
    assert tight.highest > THRESHOLD * BUDGET_BYTES, "the load does not push a worker to this budget"
    # A budget is 90 % of the container's limit, if nothing is set: what is above it for a moment is no end yet.
    assert tight.highest < BUDGET_BYTES / CGROUP_SHARE
    assert tight.over_s(BUDGET_BYTES) <= MOST_ABOVE_S
    assert all(rss < BUDGET_BYTES for rss in tight.samples[:: round(10 / SAMPLE_S)])
