"""Records that cost more than they weigh: beside them the others are answered, in time, and the worker lives."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.brokers.apache import ApacheBroker
from ops.load.traffic import Traffic
from ops.processes.fleet import Fleet
from tests.chaos.bombs import send_batches, zstd_bomb
from tests.chaos.test_memory import sampled
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import PARTITIONS, Pipeline, fresh_topics, request, send_steadily, wait_until
from tests.support.positions import read_all
from tests.support.simulator import Simulator
from topics.names import DEAD_LETTERS, REQUEST_TOPICS, RESPONSES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HONEST, PER_SECOND = (600, 40.0) if FULL else (200, 40.0)
SLOWEST_S = 1.0 if FULL else 2.0
"""Of 99 in 100 honest requests beside what means harm."""
HIGH, NORMAL, LOW = REQUEST_TOPICS


async def honest(traffic: Traffic, name: str = "honest", count: int = HONEST) -> None:
    await send_steadily(traffic, [request(f"{name}-{n}", timeout_s=20) for n in range(count)], PER_SECOND)


def p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


async def waits(pipeline: Pipeline, prefix: str) -> list[float]:
    """Seconds from request to answer, by the worker's account, of all whose names begin so."""
    values = [orjson.loads(record.value) for record in await read_all(pipeline.client_options, [RESPONSES])]
    return [value["timing"]["total_ms"] / 1000 for value in values if value["request_id"].startswith(prefix)]


@pytest.mark.alone
@pytest.mark.parametrize(
    "unpacked_mb",
    [
        pytest.param(400, id="12 KB that are 400 MB"),
        pytest.param(1900, id="58 KB that are 1.9 GB (tulios/kafkajs#1795, apache/kafka#22905)"),
    ],
)
async def test_batches_that_unpack_to_more_than_the_worker_has_become_dead_letters_and_hold_nobody_up(
    pipeline: Pipeline, measured: Measured, unpacked_mb: int
) -> None:
    bomb = zstd_bomb(unpacked_mb * 1_000_000)
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        async with sampled(worker) as memory:
            sending = asyncio.create_task(honest(traffic))
            for _ in range(3):
                await asyncio.sleep(1)
                await send_batches(pipeline.client_options, NORMAL, dict.fromkeys(range(PARTITIONS), bomb))
            await sending
            assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary = traffic.ledger.summary()
        log = worker.log_text()
    letters = await read_all(pipeline.client_options, [DEAD_LETTERS])
    slow = p99(await waits(pipeline, "honest"))
    measured(
        f"{len(bomb)} B -> {unpacked_mb} MB, 36 times: p99 {slow:.3f} s, "
        f"RSS {memory.samples[0] / 1e6:.0f} -> {memory.highest / 1e6:.0f} MB"
    )

    assert (summary.ok, summary.lost) == (HONEST, 0)
    assert {dict(letter.headers)["dlq_reason"] for letter in letters} == {b"too_large"}
    assert len(letters) == 36
    assert all(letter.value is None for letter in letters)
    assert slow < SLOWEST_S
    assert memory.highest < memory.samples[0] + 150_000_000
    assert "partitions assigned" in log
    assert log.count("partitions assigned") == 1


@pytest.mark.parametrize("setting", ["stand", "set_aside"])
async def test_what_is_before_a_corrupt_batch_is_answered_and_what_becomes_of_it_is_a_setting(
    tmp_path: Path, measured: Measured, setting: str
) -> None:
    """Bits of the broker's log are flipped on its disk (aio-libs/aiokafka#321, apache/kafka#7124)."""
    with ApacheBroker(data_dir=tmp_path / "log") as broker:
        await fresh_topics({"bootstrap_servers": broker.bootstrap_servers})
        async with Simulator(tmp_path) as simulator:
            pipeline = Pipeline(broker, "workers", tmp_path, simulator)
            async with pipeline.fleet(kafka__corrupt_batches=setting) as fleet, pipeline.traffic() as traffic:
                for n in range(30):
                    await (await traffic.send("normal", "agent-1", request(f"r-{n}")))
                assert flip_a_bit(tmp_path / "log", b"What is r-20?") == 1
                (worker,) = await fleet.start(1)

                async def what_can_be_is_answered() -> bool:
                    return traffic.open <= (1 if setting == "set_aside" else 10)

                await wait_until(what_can_be_is_answered, 60)
                await asyncio.sleep(3)  # in which it must not be fetched again and again
                said = [line for line in worker.log_text().splitlines() if "corrupt" in line]
                still_open = traffic.open
            letters = await read_all(pipeline.client_options, [DEAD_LETTERS])
            answers = await pipeline.answered_at_ms([RESPONSES])
    measured(f"{setting}: {len(answers)} answered, {len(letters)} dead, said {len(said)} times")
    assert {f"r-{n}" for n in range(20)} <= set(answers)
    assert 1 <= len(said) <= 2
    if setting == "stand":
        assert (len(answers), letters, still_open) == (20, [], 10)
    else:
        (letter,) = letters
        assert len(answers) == 29
        assert b"set aside unread" in dict(letter.headers)["dlq_error_message"]
        assert dict(letter.headers)["dlq_reason"] == b"poison"


def flip_a_bit(directory: Path, text: bytes) -> int:
    """In the place where the log holds this text; how many places there were."""
    found = 0
    for segment in directory.glob("agent.requests.normal-*/*.log"):
        content = bytearray(segment.read_bytes())
        if (at := content.find(text)) >= 0:
            with segment.open("r+b") as file:
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
            found += 1
    return found


@pytest.mark.alone
@pytest.mark.parametrize("alike", [True, False], ids=["all the same", "each another"])
async def test_requests_for_a_dead_provider_with_no_end_to_their_time_hold_up_nobody_elses(
    pipeline: Pipeline, measured: Measured, alike: bool
) -> None:
    """14,000 with a deadline in the year 9999, for a provider that nobody reaches; honest ones for one that lives."""
    floods = 14_000 if FULL else 7_000
    settings = pipeline.settings()
    settings.write_text(
        settings.read_text().replace('name = "sim"', 'name = "sim"\nmodels = ["small"]')
        + '[[providers]]\nname = "dead"\nmodels = ["gone"]\nendpoints = [{ url = "http://127.0.0.1:9/v1" }]\n'
    )
    endless = request("x")
    endless["payload"]["model"] = "gone"
    endless |= {"deadline": "9999-12-31T23:59:59Z"}
    del endless["timeout_s"], endless["request_id"]
    async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        sending = asyncio.create_task(honest(traffic))
        await asyncio.sleep(1)
        async with AIOKafkaProducer(**pipeline.client_options) as producer:
            for n in range(floods):
                endless["payload"]["user"] = "all" if alike else str(n)
                await producer.send(NORMAL, orjson.dumps(endless), key=b"flood-%d" % (n % 500))
            await producer.flush()
        await sending

        async def honest_are_answered() -> bool:
            return traffic.ledger.summary().ok >= HONEST

        await wait_until(honest_are_answered, 60)
    slow = p99(await waits(pipeline, "honest"))
    values = [orjson.loads(record.value) for record in await read_all(pipeline.client_options, [RESPONSES])]
    ends = Counter((value["error"] or {}).get("type") for value in values if value["agent_id"].startswith("flood"))
    measured(f"honest p99 {slow:.3f} s; the flood: {dict(ends)}")
    assert slow < SLOWEST_S
    assert set(ends) <= {"queue_full", "provider_unavailable", "provider_error"}
    assert ends["queue_full"] > floods / 2


DEEP = b"[" * 190 + b"]" * 190
BOMBS = 124 if FULL else 40


@pytest.mark.alone
@pytest.mark.parametrize(
    ("lists", "end"),
    [pytest.param(2_700, "too_large", id="1 MiB each"), pytest.param(250, None, id="as many as may be")],
)
async def test_values_of_lists_in_lists_hold_up_nobody_elses(
    pipeline: Pipeline, measured: Measured, lists: int, end: str | None
) -> None:
    """Values of lists 190 deep, in class high; gzip makes 5 KB of a MiB of them."""
    value = b'{"payload":{"model":"small","messages":[{"role":"user","content":"x"}],"n":%d,"x":['
    bombs = [value % n + b",".join([DEEP] * lists) + b"]}}" for n in range(BOMBS)]
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        async with sampled(worker) as memory:
            sending = asyncio.create_task(honest(traffic))
            await asyncio.sleep(1)
            async with AIOKafkaProducer(
                **pipeline.client_options, compression_type="gzip", max_request_size=4_000_000
            ) as producer:
                for n, bomb in enumerate(bombs):
                    await producer.send(HIGH, bomb, key=b"flood-%d" % (n % 7))
                await producer.flush()
            await sending

            async def all_is_answered() -> bool:
                return traffic.ledger.summary().ok >= HONEST

            await wait_until(all_is_answered, 60)
        await pipeline.wait_all_committed(60)
        log = worker.log_text()
    slow = p99(await waits(pipeline, "honest"))
    values = [orjson.loads(record.value) for record in await read_all(pipeline.client_options, [RESPONSES])]
    ends = Counter((each["error"] or {}).get("type") for each in values if each["agent_id"].startswith("flood"))
    measured(f"honest p99 {slow:.3f} s, RSS at most {memory.highest / 1e6:.0f} MB; the bombs: {dict(ends)}")
    assert slow < SLOWEST_S
    assert log.count("partitions assigned") == 1
    assert memory.highest < 600_000_000
    assert sum(ends.values()) == BOMBS
    if end is not None:
        assert ends == {end: BOMBS}
