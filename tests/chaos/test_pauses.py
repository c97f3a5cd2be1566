"""Long waits that are no death, and a death that is only a long wait."""

import asyncio
import signal
import time
from itertools import pairwise

import pytest

from tests.support.fixtures import Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, request, send_steadily, wait_until
from tests.support.positions import Positions, promised_too_early, read_all
from topics.names import RESPONSES

pytestmark = pytest.mark.chaos


async def test_partitions_paused_longer_than_max_poll_interval_keep_their_worker(
    pipeline: Pipeline, measured: Measured
) -> None:
    slow, fast = [f"slow-{n}" for n in range(8)], [f"fast-{n}" for n in range(100)]
    async with (
        pipeline.fleet(
            kafka__max_poll_interval="3s", kafka__session_timeout="30s", backpressure__partition_records=2
        ) as fleet,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        member = await pipeline.wait_members(1, 60)
        for n, name in enumerate(slow):
            await traffic.send("normal", f"agent-{n}", request(name, latency_ms=7_000))
        await pipeline.simulator.wait_in_flight(4)
        for n, name in enumerate(fast):
            await traffic.send("normal", f"agent-{n}", request(name))
        await asyncio.sleep(5)
        held = traffic.open - len(slow)
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        assert await pipeline.assignment() == member
        assignments = worker.log_text().count('"partitions assigned"')
        summary = traffic.ledger.summary()
    measured(f"{assignments} assignment; {held} of {len(fast)} quick requests were held for 5 s; {summary}")

    assert assignments == 1
    assert held > 0, "the quotas did not fill, so nothing was paused"
    assert (summary.ok, summary.lost, summary.duplicates) == (len(slow) + len(fast), 0, 0)


async def test_high_is_served_before_low_under_a_flood_of_low(pipeline: Pipeline, measured: Measured) -> None:
    flood = [f"low-{n}" for n in range(400)]
    urgent = [f"high-{n}" for n in range(30)]
    async with pipeline.fleet(concurrency__per_host=10) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for n, name in enumerate(flood):
            await traffic.send("low", f"agent-{n}", request(name, latency_ms=200))
        await pipeline.simulator.wait_in_flight(9)  # the tenth place at the host is kept for high
        for n, name in enumerate(urgent):
            await traffic.send("high", f"agent-{n}", request(name, latency_ms=200))
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    order = [call.request_id for call in pipeline.simulator.calls()]
    high_at = [index for index, name in enumerate(order) if name.startswith("high-")]
    low_between = high_at[-1] - high_at[0] + 1 - len(urgent)
    measured(f"{low_between} low calls between the first and the last of {len(urgent)} high ones; {summary}")

    assert (summary.ok, summary.lost, summary.duplicates) == (len(flood) + len(urgent), 0, 0)
    assert order[-1].startswith("low-")
    assert low_between <= 10


@pytest.mark.timeout(120)
async def test_a_worker_stopped_past_its_session_loses_nothing_and_takes_part_again(
    pipeline: Pipeline, measured: Measured
) -> None:
    read: list[tuple[float, Positions]] = []

    async def read_commits() -> None:
        while True:
            committed = await pipeline.committed()
            read.append((time.time(), committed))
            await asyncio.sleep(0.25)

    async with (
        pipeline.fleet(kafka__session_timeout="3s", kafka__heartbeat_interval="500ms") as fleet,
        pipeline.traffic() as traffic,
    ):
        await fleet.start(2)
        await pipeline.wait_members(2, 60)
        reading = asyncio.create_task(read_commits())
        values = [request(f"stop-{n}", latency_ms=100) for n in range(50 * 16)]
        sending = asyncio.create_task(send_steadily(traffic, values, 50))
        await pipeline.simulator.wait_in_flight(2)
        stopped = fleet.workers[0]
        stopped.signal(signal.SIGSTOP)
        await pipeline.wait_members(1, 60)
        await asyncio.sleep(2)
        stopped.signal(signal.SIGCONT)
        shares = await pipeline.wait_members(2, 60)
        await sending
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        reading.cancel()
        assert all(worker.alive for worker in fleet.workers)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    ends = await pipeline.answered_at_ms([RESPONSES])
    records = await read_all(pipeline.client_options)
    measured(f"{len(read)} looks at the commits; {summary}")

    assert lost == []
    assert summary.ok == summary.sent == len(values)
    assert {len(numbers) for numbers in shares.values()} == {PARTITIONS // 2}
    for at, committed in read:
        unfinished = {name for name, times in ends.items() if times[0] > at * 1000}
        assert promised_too_early(committed, records, unfinished) == []
    for (_, earlier), (_, later) in pairwise(read):
        assert {p: (c, later[p]) for p, c in earlier.items() if later[p].next_offset < c.next_offset} == {}


@pytest.mark.timeout(120)
async def test_what_is_answered_while_the_group_waits_for_a_member_is_committed(
    pipeline: Pipeline, measured: Measured
) -> None:
    """A join waits for members that stand still; calls go on meanwhile. Whoever gets their partitions must not pay again."""
    async with (
        pipeline.fleet(kafka__session_timeout="20s", kafka__heartbeat_interval="300ms") as fleet,
        pipeline.traffic() as traffic,
    ):
        stands, answers = await fleet.start(2)
        await pipeline.wait_members(2, 60)
        for number in range(PARTITIONS):
            for n in range(10):
                await traffic.send("normal", agent_on(number), request(f"wait-{number}-{n}", latency_ms=6_000))
        await pipeline.simulator.wait_in_flight(10 * PARTITIONS)
        stands.signal(signal.SIGSTOP)
        joining = asyncio.create_task(fleet.start(1))  # whom the group takes when the one that stands still is given up
        before = (await pipeline.committed()).values()
        assignments = answers.log_text().count('"partitions assigned"')

        async def half_is_committed() -> bool:
            return sum(p.next_offset for p in (await pipeline.committed()).values()) >= 10 * PARTITIONS // 2

        began = time.monotonic()
        try:
            await wait_until(half_is_committed, 12)
            waited_s = time.monotonic() - began
            moved = answers.log_text().count('"partitions assigned"') - assignments
        finally:
            stands.signal(signal.SIGCONT)
        await joining
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    measured(f"committed {waited_s:.1f} s after the join began; {summary}")

    assert sum(p.next_offset for p in before) == 0
    assert moved == 0, "the group had moved on before the commit: nothing was tried"
    assert (summary.ok, summary.lost) == (10 * PARTITIONS, 0)


@pytest.mark.timeout(120)
async def test_a_worker_that_wakes_up_does_not_call_what_others_have_called_meanwhile(
    pipeline: Pipeline, measured: Measured
) -> None:
    """It still holds what waited when it was stopped; until the group has answered it cannot know whose that is."""
    async with (
        pipeline.fleet(
            kafka__session_timeout="3s", kafka__heartbeat_interval="500ms", concurrency__per_host=4
        ) as fleet,
        pipeline.traffic() as traffic,
    ):
        stopped, _ = await fleet.start(2)
        await pipeline.wait_members(2, 60)
        for n in range(160):
            await traffic.send("normal", f"agent-{n % 16}", request(f"wake-{n}", latency_ms=300))
        await pipeline.simulator.wait_in_flight(8)
        stopped.signal(signal.SIGSTOP)
        stopped_at = time.time()
        assert await traffic.wait_answered(60)
        stopped.signal(signal.SIGCONT)
        woken_at = time.time()
        await pipeline.wait_members(2, 60)
        summary = traffic.ledger.summary()
    calls = pipeline.simulator.calls()
    before = {call.request_id for call in calls if call.arrived_at < stopped_at}
    again = [call.request_id for call in calls if call.arrived_at > woken_at and call.request_id not in before]
    measured(f"{len(again)} calls after waking up, stopped for {woken_at - stopped_at:.1f} s; {summary}")

    assert (summary.ok, summary.lost) == (160, 0)
    assert again == []
