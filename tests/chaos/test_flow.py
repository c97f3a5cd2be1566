"""Flow on the real thing: an agent that sends too much, a backlog of a million, five times too much while workers die."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from ops.load.traffic import Answer, Traffic
from tests.chaos.test_kill import Kill, kill_now_and_then
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, request
from tests.support.simulator import SimCall
from topics.names import PRIORITIES, TOPIC_OF
from topics.partitioner import contract_partitioner

pytestmark = pytest.mark.chaos

MB = 1_000_000

# ---- a noisy agent

QUIET_PER_S, NOISY_PER_S = 36, 36
NOISY_CAP, HOST_CAP = 8, 20
PHASE_S = 45
ATTEMPTS = 3


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def most_at_once(calls: Sequence[SimCall]) -> int:
    ends = [(call.ended_at, -1) for call in calls if call.ended_at is not None]
    changes = sorted(chain(((call.arrived_at, 1) for call in calls), ends))
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


async def play(traffic: Traffic, name: str, *, noisy: bool) -> None:
    """For a while, requests of quiet agents on all partitions; every other one from the noisy agent on partition 0 if asked."""
    loop = asyncio.get_running_loop()
    agents = [agent_on(partition) for partition in range(PARTITIONS)]
    began, sent = loop.time(), 0
    while sent < PHASE_S * QUIET_PER_S:
        await asyncio.sleep(max(0.0, began + sent / QUIET_PER_S - loop.time()))
        quiet = request(f"{name}-quiet-{sent}", timeout_s=None, latency_ms=250)
        await traffic.send("normal", agents[sent % PARTITIONS], quiet)
        if noisy:
            loud = request(f"{name}-noisy-{sent}", timeout_s=None, latency_ms=500)
            await traffic.send("normal", agents[0], loud | {"agent_id": "noisy"})
        sent += 1


@pytest.mark.alone
@pytest.mark.skipif(
    not FULL, reason="takes minutes: TEST_FULL=1; tests/unit/flow/test_bars.py has it on a virtual clock"
)
@pytest.mark.timeout(600)
async def test_a_noisy_agent_slows_its_neighbours_little(pipeline: Pipeline, measured: Measured) -> None:
    took: dict[str, list[float]] = defaultdict(list)
    ended: Counter[str] = Counter()

    def note(answer: Answer) -> None:
        phase, kind, _ = answer.request_id.split("-")
        ended[f"{phase} {kind} {answer.status}"] += 1
        found = orjson.loads(answer.value or b"{}")
        if kind == "quiet":
            own = "own" if found["agent_id"] == agent_on(0) else "other"
            took[f"{phase} {own}"].append(found["timing"]["total_ms"])

    settings = {"concurrency__per_host": HOST_CAP, "concurrency__per_agent": NOISY_CAP}
    async with pipeline.fleet(**settings) as fleet, pipeline.traffic(on_answer=note) as traffic:
        await fleet.start(1)
        for attempt in range(ATTEMPTS):
            await play(traffic, f"alone{attempt}", noisy=False)
            assert await traffic.wait_answered(60)
            await play(traffic, f"beside{attempt}", noisy=True)
            assert await traffic.wait_answered(60)
            ratios = {
                where: p95(took[f"beside{attempt} {where}"]) / p95(took[f"alone{attempt} {where}"])
                for where in ("other", "own")
            }
            measured(
                f"p95 beside it against alone: other partitions {ratios['other']:.2f}, its own {ratios['own']:.2f}; {dict(ended)}"
            )
            if ratios["other"] <= 1.2 and ratios["own"] <= 2:
                break
    calls = pipeline.simulator.calls()
    of_noisy = most_at_once([call for call in calls if "noisy" in call.request_id])
    measured(f"at most {most_at_once(calls)} calls at a time, {of_noisy} of the noisy agent")
    assert ratios["other"] <= 1.2
    assert ratios["own"] <= 2
    assert all(name.endswith("ok") for name in ended if "quiet" in name)
    assert most_at_once(calls) <= HOST_CAP
    assert of_noisy == NOISY_CAP


# ---- a backlog

BACKLOG = 1_000_000 if FULL else 30_000
PLUGS = 24
PLUG_S = 25 if FULL else 8
MOST_GROWTH = 60 * MB


async def write(pipeline: Pipeline, count: int) -> None:
    """So many requests of 10,000 agents over all classes; first those whose calls take long and fill every slot."""
    producer = AIOKafkaProducer(
        **pipeline.client_options, linger_ms=20, max_batch_size=1_000_000, partitioner=contract_partitioner
    )
    await producer.start()
    try:
        for n in range(PLUGS):
            value = orjson.dumps(request(f"plug-{n}", timeout_s=3600, latency_ms=PLUG_S * 1000))
            await producer.send(TOPIC_OF["normal"], value, agent_on(n % PARTITIONS).encode())
        await producer.flush()
        for n in range(count):
            value = orjson.dumps(request(f"b-{n}", timeout_s=3600, latency_ms=100))
            await producer.send(TOPIC_OF[PRIORITIES[n % 3]], value, b"agent-%d" % (n % 10_000))
    finally:
        await producer.stop()


@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_a_backlog_costs_little_memory_and_is_taken_up_at_once(pipeline: Pipeline, measured: Measured) -> None:
    limits = {"concurrency__per_host": 20, "concurrency__high_share": "0%", "cache__memory__size": "1MB"}
    async with pipeline.fleet(**limits) as fleet:
        (worker,) = await fleet.start(1)
        await asyncio.sleep(3)
        idle = psutil.Process(worker.pid).memory_info().rss
        await fleet.stop()
    await write(pipeline, BACKLOG)
    async with pipeline.fleet(**limits) as fleet:
        (worker,) = await fleet.start(1)
        process, most = psutil.Process(worker.pid), 0
        began = time.monotonic()
        while time.monotonic() - began < PLUG_S + 8:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.2)
        last = process.memory_info().rss
        assignments = worker.log_text().count('"partitions assigned"')
        worker.kill()  # nobody waits for the rest
    calls = pipeline.simulator.calls()
    back_at = min(call.ended_at for call in calls if call.request_id.startswith("plug") and call.ended_at is not None)
    starts = [call.arrived_at - back_at for call in calls if not call.request_id.startswith("plug")]
    first_s = sum(0 <= start < 1 for start in starts)
    full_per_s = sum(2 <= start < 6 for start in starts) / 4
    measured(
        f"{BACKLOG:,} requests of backlog: {(most - idle) / MB:.0f} MB over the idle {idle / MB:.0f} at most, "
        f"{(last - idle) / MB:.0f} at the end; "
        f"{first_s} calls in the first second, {full_per_s:.0f}/s later; {assignments} assignment"
    )
    assert most - idle <= MOST_GROWTH
    assert first_s >= 0.8 * full_per_s
    assert full_per_s >= 60
    assert assignments == 1


# ---- five times too much, with kills

OVERLOAD_S, KILL_EVERY_S = (60, 15) if FULL else (15, 6)
SLOTS, CALL_MS = 4, 200
OFFERED_PER_S = 5 * 2 * SLOTS * 1000 // CALL_MS


async def overload(traffic: Traffic, names: Sequence[str]) -> None:
    loop, rng = asyncio.get_running_loop(), random.Random(5)
    began = loop.time()
    for index, name in enumerate(names):
        await asyncio.sleep(max(0.0, began + index / OFFERED_PER_S - loop.time()))
        agent = "noisy" if rng.random() < 0.3 else f"agent-{rng.randrange(100)}"
        value: dict[str, Any] = request(name, timeout_s=None, latency_ms=CALL_MS)
        await traffic.send(rng.choice(PRIORITIES), agent, value)


@pytest.mark.timeout(240)
async def test_under_five_times_too_much_every_request_is_answered_while_workers_are_killed(
    pipeline: Pipeline, measured: Measured
) -> None:
    kills: list[Kill] = []
    errors: Counter[str] = Counter()

    def note(answer: Answer) -> None:
        error = orjson.loads(answer.value or b"{}").get("error")
        errors[error["type"] if error else "none"] += 1

    settings = {
        "kafka__session_timeout": "3s",
        "concurrency__per_host": SLOTS,
        "backpressure__partition_records": 100,
        **{
            f"queueing__timeout__{priority}": wait
            for priority, wait in (("high", "3s"), ("normal", "6s"), ("low", "10s"))
        },
    }
    names = [f"over-{n}" for n in range(OVERLOAD_S * OFFERED_PER_S)]
    async with pipeline.fleet(**settings) as fleet, pipeline.traffic(on_answer=note) as traffic:
        await fleet.start(2)
        killing = asyncio.create_task(kill_now_and_then(pipeline, fleet, kills, KILL_EVERY_S))
        await overload(traffic, names)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        assert await traffic.wait_answered(90)
        await pipeline.wait_all_committed(60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    calls = pipeline.simulator.calls()
    paid_twice = len(calls) - len({call.request_id for call in calls})
    measured(f"{summary}; errors {dict(errors)}; {len(kills)} kills, {paid_twice} paid twice")
    assert lost == []
    assert summary.sent == len(names)
    assert set(errors) <= {"none", "deadline", "queue_full"}
    assert summary.ok >= 0.5 * OVERLOAD_S * OFFERED_PER_S / 5
    assert errors["deadline"] > 0
    assert len(kills) >= OVERLOAD_S // KILL_EVERY_S - 1
