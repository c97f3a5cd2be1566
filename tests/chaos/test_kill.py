"""Workers die with kill -9 while requests are under way: every id is accounted for, and nothing finished is paid again."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

import pytest

from ops.processes.fleet import Fleet
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, request, send_steadily, wait_open_at_most
from tests.support.positions import Positions, promised_too_early, read_all
from tests.support.stopwatch import Stopwatch
from topics.names import PRIORITIES, RESPONSES

pytestmark = pytest.mark.chaos

RATE_PER_S = 100
SECONDS, KILL_EVERY_S = (60, 15) if FULL else (30, 8)
SESSION_S = 3
HEAD_MS = 30_000 if FULL else 12_000

UNCOMMITTED_S = 0.5
"""How long before a kill an answer may have come without its commit: 0.1 s by design, the rest for a busy machine."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill -9: what was in flight at the provider just before, and what the group had committed just after."""

    at: float
    in_flight: int
    committed: Positions
    read_at: float


async def kill_now_and_then(pipeline: Pipeline, fleet: Fleet, kills: list[Kill], every_s: float = KILL_EVERY_S) -> None:
    """Kill a random worker every `every_s` seconds and start another in its place, until cancelled."""
    rng = random.Random(3)
    while True:
        await asyncio.sleep(every_s)
        victim = rng.choice(fleet.workers)
        in_flight = (await pipeline.simulator.stats())["in_flight"]
        victim.kill()
        at = time.time()
        committed = await pipeline.committed()
        kills.append(Kill(at, in_flight, committed, time.time()))
        await fleet.replace(victim, ready_within_s=None)


@pytest.mark.timeout(240)
async def test_every_request_is_answered_while_workers_are_killed(pipeline: Pipeline, measured: Measured) -> None:
    kills: list[Kill] = []
    values = [request(f"fire-{n}", latency_ms=200) for n in range(SECONDS * RATE_PER_S)]
    watch = Stopwatch()
    async with pipeline.fleet(kafka__session_timeout=f"{SESSION_S}s") as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        killing = asyncio.create_task(kill_now_and_then(pipeline, fleet, kills))
        await send_steadily(traffic, values, RATE_PER_S)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    calls = pipeline.simulator.calls()
    at_stake = sum(
        kill.in_flight
        + sum(call.ended_at is not None and kill.at - UNCOMMITTED_S <= call.ended_at <= kill.at for call in calls)
        for kill in kills
    )
    paid_twice = len(calls) - len({call.request_id for call in calls})
    measured(f"{summary}; {len(kills)} kills, {at_stake} at stake, {paid_twice} paid twice")

    assert len(kills) >= SECONDS // KILL_EVERY_S - 1
    assert lost == []
    assert summary.sent == len(values)
    assert summary.ok >= 0.999 * summary.sent
    if (
        watch.still_s < SESSION_S
    ):  # else sessions may have ended without a kill, and what those workers had is called again
        assert summary.duplicates <= at_stake
        assert paid_twice <= at_stake
    await assert_no_commit_was_early(pipeline, [(kill.read_at, kill.committed) for kill in kills])


async def assert_no_commit_was_early(pipeline: Pipeline, read: list[tuple[float, Positions]]) -> None:
    """No commit, as read at these times, covered a request that had no answer by then."""
    ends = await pipeline.answered_at_ms([RESPONSES])
    records = await read_all(pipeline.client_options)
    assert records
    for read_at, committed in read:
        assert committed
        unfinished = {request_id for request_id, times in ends.items() if times[0] > read_at * 1000}
        assert promised_too_early(committed, records, unfinished) == []


@pytest.mark.timeout(180)
async def test_what_finished_behind_a_slow_head_is_not_paid_again_after_a_kill(
    pipeline: Pipeline, measured: Measured
) -> None:
    heads = {f"head-{p}-{n}": (p, n) for p in PRIORITIES for n in range(PARTITIONS)}
    async with pipeline.fleet(kafka__session_timeout="6s") as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        before = await pipeline.wait_members(2, 60)
        acks = [await traffic.send(p, agent_on(n), request(head, latency_ms=HEAD_MS)) for head, (p, n) in heads.items()]
        await asyncio.gather(*acks)
        fast = [f"fast-{head}-{k}" for head in heads for k in range(10)]
        for name in fast:
            priority, number = heads[name.removeprefix("fast-").rpartition("-")[0]]
            await traffic.send(priority, agent_on(number), request(name))
        await wait_open_at_most(traffic, len(heads), HEAD_MS / 1000 - 4)
        assert (await pipeline.simulator.stats())["in_flight"] == len(heads)
        await asyncio.sleep(2)  # the promise is about what had finished 2 s before
        fleet.workers[0].kill()
        assert await traffic.wait_answered(60 + HEAD_MS / 1000)
        await pipeline.wait_all_committed(60)
        after = await pipeline.wait_members(1, 60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    calls = pipeline.simulator.calls_by_id()
    measured(
        f"{summary}; calls of a head: {dict(Counter(calls[head] for head in heads))}, of the {len(fast)} others: 1"
    )

    assert lost == []
    assert summary.ok == len(heads) + len(fast)
    assert {name: calls[name] for name in fast if calls[name] != 1} == {}
    (survivor,) = after
    repeated = {heads[head][1] for head in heads if calls[head] > 1}
    assert repeated == set(range(PARTITIONS)) - before[survivor]
