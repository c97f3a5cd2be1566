"""SIGTERM: calls under way finish or go to the next owner, and the worker is gone in time."""

import signal
import time

import pytest

from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, request

pytestmark = pytest.mark.chaos

CALLS = 20
AFTER_DRAIN_S = 5
"""What docs/operating.md grants a worker above its drain deadline before it is killed."""


async def test_sigterm_lets_calls_under_way_finish_and_leaves_nothing_to_do(
    pipeline: Pipeline, measured: Measured
) -> None:
    names = [f"drain-{n}" for n in range(CALLS)]
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        for name in names:
            await traffic.send("normal", name, request(name, latency_ms=3_000))
        await pipeline.simulator.wait_in_flight(CALLS)
        told_at = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert await worker.wait_ended(10 + AFTER_DRAIN_S)
        took_s = time.monotonic() - told_at
        assert await traffic.wait_answered(60)
        assert worker.exit_code == 0
        assert not await pipeline.unfinished()
        await fleet.start(1)
        await traffic.send("normal", "next", request("next"))
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    measured(f"ended {took_s:.1f} s after SIGTERM with {CALLS} calls of 3 s under way; {summary}")

    assert (summary.ok, summary.lost, summary.duplicates) == (CALLS + 1, 0, 0)
    assert set(pipeline.simulator.calls_by_id().values()) == {1}


async def test_what_outlasts_the_drain_deadline_is_answered_by_the_next_owner(
    pipeline: Pipeline, measured: Measured
) -> None:
    names = [f"late-{n}" for n in range(CALLS)]
    async with pipeline.fleet(kafka__drain_deadline="1s") as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        for name in names:
            await traffic.send("normal", name, request(name, latency_ms=8_000))
        await pipeline.simulator.wait_in_flight(CALLS)
        told_at = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert await worker.wait_ended(1 + AFTER_DRAIN_S)
        took_s = time.monotonic() - told_at
        assert worker.exit_code == 0
        assert traffic.open == CALLS
        await fleet.start(1)
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    measured(f"ended {took_s:.1f} s after SIGTERM, deadline 1 s; {summary}")

    assert (summary.ok, summary.lost, summary.duplicates) == (CALLS, 0, 0)
    assert set(pipeline.simulator.calls_by_id().values()) == {2}
