"""`headrace tail` and `headrace dlq` on a real broker."""

import asyncio
from asyncio.subprocess import PIPE

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, read_until
from ops.load.ledger import Ledger
from ops.load.traffic import Traffic
from ops.processes.fleet import clean_environment, headrace_command
from schemas.dead_letter import DeadLetter
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request
from tests.support.processes import running
from topics.names import DEAD_LETTERS

DEADLINE_S = 30.0


async def test_what_is_there_is_shown_the_newest_last_and_what_comes_is_followed(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    async with Traffic(pipeline.client_options, Ledger()) as traffic:
        for number in range(30):
            await (await traffic.send("normal", f"agent-{number % 3}", request(f"r-{number}")))
        await (await traffic.send("normal", "agent-0", b"\x1b[2J\xff\n no json"))

        newest = await headrace("tail", "agent.requests.normal", "-n", "3", "--no-follow", settings=settings)
        assert newest.code == 0
        assert [line.split("  ")[2] for line in newest.out.splitlines()] == ["agent-1", "agent-2", "agent-0"]
        assert "\x1b" not in newest.out

        of_one = await headrace(
            *("tail", "agent.requests.normal", "--from-beginning", "--no-follow", "--key", "agent-1", "--json"),
            settings=settings,
        )
        ids = [orjson.loads(line)["value"]["request_id"] for line in of_one.out.splitlines()]
        assert ids == [f"r-{number}" for number in range(1, 30, 3)]

        async with (
            running(
                *headrace_command("tail", "agent.requests.normal", "-n", "1", "--settings", str(settings)),
                stdout=PIPE,
                env=clean_environment(),
            ) as following,
            asyncio.timeout(DEADLINE_S),
        ):
            assert following.stdout is not None
            assert b"no json" in await following.stdout.readline()
            await (await traffic.send("normal", "agent-9", request("new")))
            assert b"agent-9" in await following.stdout.readline()
            following.terminate()
            assert await following.wait() == 130


async def test_a_topic_that_is_not_there_is_one_line_and_is_not_made(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    for _ in range(2):
        called = await headrace("tail", "agent.nowhere", settings=settings)
        assert (called.code, len(called.err.splitlines())) == (2, 1)
        assert "not on the broker: agent.nowhere" in called.err


async def _bury(pipeline: Pipeline, count: int) -> None:
    """Dead letters as the pipeline writes them, every other one for another reason, and one that is none."""
    producer = AIOKafkaProducer(**pipeline.client_options)
    await producer.start()
    try:
        for number in range(count):
            letter = DeadLetter(
                dlq_reason="poison" if number % 2 else "exhausted",
                dlq_stage="intake" if number % 2 else "providers",
                dlq_error_type="invalid_request" if number % 2 else "provider_error",
                dlq_error_message="no\x1b good",
                dlq_topic="agent.requests.low",
                dlq_partition=1,
                dlq_offset=number,
                dlq_timestamp=1_700_000_000_000,
                dlq_attempts=0,
            )
            headers = letter.to_headers([("ce_id", b"e-%d" % number), ("dlq_of_others", b"kept")])
            value = b"value %d" % number
            await producer.send_and_wait(DEAD_LETTERS, value, b"agent-%d" % number, headers=headers, partition=0)
        await producer.send_and_wait(DEAD_LETTERS, b"a stranger's", b"k", partition=0)
    finally:
        await producer.stop()


async def test_dead_letters_are_listed_shown_and_sent_back_once_and_only_when_told(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    assert (await headrace("dlq", "list", settings=settings)).out == "no dead letters\n"
    await _bury(pipeline, 6)

    listed = await headrace("dlq", "list", "--reason", "exhausted", "-n", "2", "--json", settings=settings)
    assert [each["position"] for each in orjson.loads(listed.out)["dead_letters"]] == ["0:4", "0:2"]
    text = await headrace("dlq", "list", settings=settings)
    assert len(text.out.splitlines()) == 7
    assert "\x1b" not in text.out
    none = await headrace("dlq", "list", "--since", "1s", "--topic", "agent.requests.high", settings=settings)
    assert none.out == "no dead letters\n"

    shown = await headrace("dlq", "show", "0:3", "--json", settings=settings)
    letter = orjson.loads(shown.out)
    assert (letter["origin"], letter["value"], letter["key"]) == ("agent.requests.low:1:3", "value 3", "agent-3")
    assert (await headrace("dlq", "show", "0:99", settings=settings)).code == 1
    assert (await headrace("dlq", "show", "zero", settings=settings)).code == 2

    dry = await headrace("dlq", "replay", "--reason", "exhausted", settings=settings)
    assert dry.code == 0
    assert "3 would be sent" in dry.out
    assert await _requests_low(pipeline) == []

    sent = await headrace("dlq", "replay", "--reason", "exhausted", "--limit", "2", "--yes", settings=settings)
    assert "2 sent; there are more than --limit 2" in sent.out
    chosen = await headrace("dlq", "replay", "0:5", "0:5", "0:6", "0:77", "--yes", "--json", settings=settings)
    outcome = orjson.loads(chosen.out)
    assert chosen.code == 1
    assert [each["position"] for each in outcome["sent"]] == ["0:5"]
    assert [each["position"] for each in outcome["not_sent"]] == ["0:6"]
    assert outcome["not_found"] == ["0:77"]

    again = sorted(await _requests_low(pipeline))
    assert again == [
        (b"agent-%d" % number, b"value %d" % number, (("ce_id", b"e-%d" % number), ("dlq_of_others", b"kept")))
        for number in (0, 2, 5)
    ]


async def _requests_low(pipeline: Pipeline) -> list[tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]]:
    partitions = [TopicPartition("agent.requests.low", number) for number in range(12)]
    async with open_reader(pipeline.client_options) as consumer:
        ends = await consumer.end_offsets(partitions)
        records = read_until(consumer, dict.fromkeys(partitions, 0), ends)
        return [(record.key, record.value, record.headers) async for record in records]
