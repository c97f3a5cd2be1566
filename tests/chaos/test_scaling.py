"""A fleet that scales itself under load: workers join and leave again and again, and nothing is lost."""

import asyncio
import itertools
import os
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from ops.load.ledger import percentile
from ops.load.traffic import Traffic
from ops.processes.fleet import WorkerProcess
from schemas.scaling_decision import ScalingDecision
from tests.support.cli import headrace
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import Pipeline, request, wait_until
from tests.support.scaling import decisions, dotted

pytestmark = [pytest.mark.chaos, pytest.mark.alone]

CYCLES = 10 if FULL else 1
LOW_PER_S, HIGH_PER_S = 10.0, 28.0
"""A worker does 20 a second: ten calls of 0.5 s at a time."""
WITHIN_S = 90.0
"""For one join or leave. Everything happens within seconds on an idle machine."""

LIVE: dict[str, object] = {
    "kafka.session_timeout": "3s",
    "metrics.interval": "1s",
    "metrics.aggregation": "1s",
    "metrics.grace": "1s",
    "concurrency.total": 10,
    "concurrency.per_agent": 10,
    "concurrency.per_host": 10,
    "scaling.limits.min": 1,
    "scaling.limits.max": 2,
    "scaling.cooldown": "2s",
    "scaling.triggers.cpu.threshold": "100%",
    "scaling.triggers.memory.threshold": "100%",
    "scaling.triggers.queue.length": 20,
    "scaling.scale_out.effect": "0%",
    "scaling.scale_in.duration": "3s",
    "scaling.stale_after": "15s",
}


class Load:
    """Requests at a rate that may change, until it is stopped."""

    def __init__(self, traffic: Traffic) -> None:
        self.per_s = LOW_PER_S
        self._traffic = traffic
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._traffic.send("normal", f"agent-{number % 100}", request(f"live-{number}", latency_ms=500))
            due += 1 / self.per_s

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_workers_join_and_leave_as_the_load_doubles_and_falls_and_nothing_is_lost(
    pipeline: Pipeline, measured: Measured
) -> None:
    """A leave is clean: no request is answered twice. A join may pay calls on the partitions that move twice."""
    settings = pipeline.settings(**dotted(LIVE))
    up = WorkerProcess("up", settings, pipeline.directory / "up.log", command="up")
    try:
        await up.wait_ready(60)  # its first process
        await pipeline.wait_members(1, 60)
        async with pipeline.traffic() as traffic:
            load = Load(traffic)
            for _ in range(CYCLES):
                load.per_s = HIGH_PER_S
                shares = await pipeline.wait_members(2, WITHIN_S)
                assert {len(numbers) for numbers in shares.values()} == {6}
                load.per_s = LOW_PER_S
                await pipeline.wait_members(1, WITHIN_S)
            await load.stop()
            assert await traffic.wait_answered(60)
            summary = traffic.ledger.summary()
        await pipeline.wait_all_committed(60)  # what the kill repeats is no fault of a leave
        os.kill(ready_pids(up, "w0")[-1], signal.SIGKILL)

        async def another_is_ready() -> bool:
            return len(ready_pids(up, "w0")) == 2

        await wait_until(another_is_ready, 60)
        up.signal(signal.SIGTERM)
        assert await up.wait_ended(25)
    finally:
        up.kill()
    await _is_explained(settings)
    if FULL:
        await _is_replayed(settings)
    steps = [each for each in await decisions(pipeline) if each.action != "hold"]
    ends = await pipeline.answered_at_ms()
    answered = sorted(time_ms for times in ends.values() for time_ms in times)
    twice = Counter(_step_before(steps, time_ms) for times in ends.values() for time_ms in times[1:])
    pauses = sorted(_pause_ms(answered, step) for step in steps if step.action == "scale_out")
    measured(
        f"{len(pauses)} joins, {len(steps) - len(pauses)} leaves: {summary.sent} requests, {summary.lost} lost, answered twice: "
        f"{twice['scale_in']} after leaves, {twice['scale_out']} after joins; longest pause between answers at a join: "
        f"p50 {percentile(pauses, 0.5):.0f} ms, p95 {percentile(pauses, 0.95):.0f} ms"
    )

    assert (summary.ok, summary.lost, twice["scale_in"], twice[None]) == (summary.sent, 0, 0, 0)
    assert [each.action for each in steps] == ["scale_out", "scale_in"] * CYCLES
    assert percentile(pauses, 0.95) <= 5_000
    assert up.exit_code == 0


async def _is_explained(settings: Path) -> None:
    """What people read of it."""
    told = await headrace("scaling", "explain", "-n", "100", settings=settings)
    assert told.code == 0, told.err
    assert "From 1 to 2 workers, because" in told.out
    assert "From 2 to 1 worker, because everything was low" in told.out
    assert "Carried out by process in" in told.out


async def _is_replayed(settings: Path) -> None:
    """Its windows, as they can be recorded, lead to a step again."""
    tail = ("tail", "metrics.windows", "--from-beginning", "--no-follow", "--json")
    windows = await headrace(*tail, settings=settings)
    replayed = await headrace("scaling", "replay", "-", "--json", settings=settings, stdin=windows.out)
    assert replayed.code == 0, replayed.err
    assert "scale_out" in {each["action"] for each in orjson.loads(replayed.out)["decisions"]}


def ready_pids(up: WorkerProcess, name: str) -> list[int]:
    """Process ids of the workers that became ready in this place, by the supervisor's log."""
    lines = [orjson.loads(line) for line in up.log_text().splitlines() if '"event":"ready"' in line]
    return [int(line["pid"]) for line in lines if line["process"] == name]


def _step_before(steps: list[ScalingDecision], time_ms: int) -> str | None:
    """The last step before a time."""
    return next((each.action for each in reversed(steps) if each.at.timestamp() * 1000 <= time_ms), None)


def _pause_ms(answered: list[int], step: ScalingDecision) -> int:
    """The longest time without any answer in the 15 s after a step was decided, by the broker's clock."""
    begin = step.at.timestamp() * 1000
    near = [time_ms for time_ms in answered if begin <= time_ms <= begin + 15_000]
    return max((later - earlier for earlier, later in pairwise(near)), default=15_000)


@pytest.mark.skipif(
    not FULL, reason="tests/unit/scaling holds decisions to it; TEST_FULL=1 runs a fleet against a real limit"
)
async def test_a_fleet_whose_provider_limits_it_does_not_grow(pipeline: Pipeline, measured: Measured) -> None:
    """The provider allows fewer requests than come: more workers would only wait for it as well."""
    limited = {"scaling.limits.max": 4, "scaling.triggers.queue.length": 10}
    path = pipeline.settings(**dotted(LIVE | limited))
    path.write_text(path.read_text().replace('requests = "unlimited"', 'requests = "60/minute"'))
    up = WorkerProcess("up", path, pipeline.directory / "up.log", command="up")
    try:
        await up.wait_ready(60)  # its first process
        await pipeline.wait_members(1, 60)
        async with pipeline.traffic() as traffic:
            load = Load(traffic)

            async def is_held() -> bool:
                found = await decisions(pipeline)
                return sum("provider_limited" in each.blocked_by for each in found) >= 5

            await wait_until(is_held, 60)
            await load.stop()
    finally:
        up.kill()
    found = await decisions(pipeline)
    wished = [each for each in found if "queue_length" in each.reasons]
    measured(f"{len(wished)} decisions in which the queue asked for more, all of them held back")
    assert wished
    assert {each.workers_wanted for each in found} == {1}
    assert all("provider_limited" in each.blocked_by for each in wished)
