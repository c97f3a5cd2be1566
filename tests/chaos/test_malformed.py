"""What strangers may write to a request topic: every record gets its end once, and no worker minds."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import orjson
import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, RecordMetadata, TopicPartition

from ops.processes.fleet import WorkerProcess
from schemas import limits
from streams.kafka import provision
from tests.chaos.hostile import Hostile, hostile_records
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import PARTITIONS, Pipeline, delete_topics, request, wait_until
from tests.support.positions import Positions, read_all
from topics import catalogue
from topics.names import DEAD_LETTERS, REQUEST_TOPICS, RESPONSES

pytestmark = pytest.mark.chaos

RECORDS = 20_000 if FULL else 4_000
MB = 1_000_000


async def write(producer: AIOKafkaProducer, records: Sequence[Hostile]) -> dict[str, Hostile]:
    """Write the records, topics in turn, and say where each landed: `topic:partition:offset`."""
    acks: list[asyncio.Future[RecordMetadata]] = [
        await producer.send(
            REQUEST_TOPICS[n % 3], record.value, record.key, partition=n % PARTITIONS, headers=record.headers
        )
        for n, record in enumerate(records)
    ]
    return {position(await ack): record for ack, record in zip(acks, records, strict=True)}


def position(where: RecordMetadata) -> str:
    return f"{where.topic}:{where.partition}:{where.offset}"


def letters_by_position(letters: Sequence[ConsumerRecord]) -> dict[str, list[ConsumerRecord]]:
    """Dead letters by the position of the record that they are about."""
    found: dict[str, list[ConsumerRecord]] = {}
    for letter in letters:
        headers = dict(letter.headers)
        names = (headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"])
        found.setdefault(b":".join(names).decode(), []).append(letter)
    return found


@pytest.mark.timeout(240)
async def test_every_malformed_record_gets_its_end_exactly_once(pipeline: Pipeline, measured: Measured) -> None:
    hostile = list(hostile_records(RECORDS))
    written: dict[str, Hostile] = {}
    resident: list[int] = []
    async with pipeline.fleet() as fleet, open_producer(pipeline) as producer:
        (worker,) = await fleet.start(1)
        for part in range(4):
            written |= await write(producer, hostile[part * RECORDS // 4 : (part + 1) * RECORDS // 4])
            await pipeline.wait_all_committed(60)
            resident.append(psutil.Process(worker.pid).memory_info().rss)
        assert worker.alive
        assert "Traceback" not in worker.log_text()
    letters = letters_by_position(await read_all(pipeline.client_options, [DEAD_LETTERS]))
    ends: dict[str, list[str]] = {where: ["dead"] * len(found) for where, found in letters.items()}
    for response in await read_all(pipeline.client_options, [RESPONSES]):
        value = orjson.loads(response.value)
        status = value["status"]
        if value["error"]["type"] == "invalid_reply_to":
            assert status == "error"
        else:
            assert value["error"]["type"] in ("invalid_request", "too_large")
        ends.setdefault(dict(response.headers)["ce_id"].decode(), []).append(status)
    wrong = {
        (record.kind, record.end, " and ".join(ends.get(where, [])))
        for where, record in written.items()
        if " and ".join(ends.get(where, [])) != record.end
    }
    measured(
        f"{len(written)} records: {dict(Counter(record.end for record in hostile))}; "
        f"RSS {', '.join(f'{size / MB:.0f}' for size in resident)} MB"
    )

    assert wrong == set()
    assert set(ends) == set(written)
    for where, (letter,) in letters.items():
        assert (letter.value, letter.key) == (written[where].value, written[where].key)
        assert list(letter.headers)[: len(written[where].headers)] == written[where].headers
    assert pipeline.simulator.calls() == []
    assert resident[3] <= resident[1] * 1.1


async def test_a_poison_record_of_the_largest_size_is_a_dead_letter(pipeline: Pipeline) -> None:
    value = b"\x00" * (limits.REQUEST_RECORD_BYTES - 2_000)
    headers = [("filler", b"h" * 1_800)]
    async with pipeline.fleet() as fleet, open_producer(pipeline) as producer:
        await fleet.start(1)
        where = await producer.send_and_wait(REQUEST_TOPICS[0], value, b"agent-1", headers=headers)
        await pipeline.wait_all_committed(60)
    (letter,) = letters_by_position(await read_all(pipeline.client_options, [DEAD_LETTERS]))[position(where)]
    assert letter.value == value


@pytest.mark.parametrize(
    ("unpacked_bytes", "is_kept"),
    [pytest.param(3 * limits.MIB, True, id="3 MiB"), pytest.param(24 * limits.MIB, False, id="24 MiB")],
)
async def test_a_small_record_that_unpacks_to_more_than_a_dead_letter_holds_blocks_nothing(
    pipeline: Pipeline, unpacked_bytes: int, is_kept: bool
) -> None:
    bomb = b'{"agent_id": "agent-1", "payload": "' + b"x" * unpacked_bytes + b'"}'
    packing = AIOKafkaProducer(**pipeline.client_options, compression_type="gzip", max_request_size=2 * len(bomb))
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic, packing as producer:
        await fleet.start(1)
        where = await producer.send_and_wait(REQUEST_TOPICS[1], bomb, b"agent-1")
        await traffic.send("normal", "agent-1", request("behind"))
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
    (letter,) = letters_by_position(await read_all(pipeline.client_options, [DEAD_LETTERS]))[position(where)]
    assert dict(letter.headers)["dlq_reason"] == b"too_large"
    assert letter.value == (bomb if is_kept else None)


async def test_an_answer_larger_than_the_limit_is_an_error_and_blocks_nothing(pipeline: Pipeline) -> None:
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        await traffic.send("normal", "agent-1", request("large", answer_bytes=3 * limits.MIB))
        await traffic.send("normal", "agent-1", request("largest", answer_bytes=limits.ANSWER_PAYLOAD_BYTES - 1_000))
        await traffic.send("normal", "agent-1", request("next"))
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary = traffic.ledger.summary()
    values = [orjson.loads(record.value) for record in await read_all(pipeline.client_options, [RESPONSES])]
    statuses = {value["request_id"]: (value["status"], (value["error"] or {}).get("type")) for value in values}

    assert statuses == {"large": ("error", "answer_too_large"), "largest": ("ok", None), "next": ("ok", None)}
    assert (summary.lost, summary.duplicates) == (0, 0)
    assert pipeline.simulator.calls_by_id()["large"] == 1, "an answer that is too large once is too large again"


@pytest.mark.timeout(120)
async def test_poison_waits_while_the_dead_letter_topic_is_gone(pipeline: Pipeline, measured: Measured) -> None:
    poison = [Hostile("poison", b"\x00poison %d" % n, "dead") for n in range(400)]
    async with (
        pipeline.fleet(kafka__request_timeout="5s") as fleet,
        open_producer(pipeline) as producer,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        before = await write(producer, poison[:100])
        await pipeline.wait_all_committed(60)
        assert set(letters_by_position(await read_all(pipeline.client_options, [DEAD_LETTERS]))) == set(before)

        await delete_topics(pipeline.client_options, [DEAD_LETTERS])
        meanwhile = await write(producer, poison[100:])
        await wait_said(worker, "the broker does not take answers")
        committed = await pipeline.committed()
        covered = [where for where in meanwhile if committed_covers(committed, where)]
        await provision.apply(pipeline.client_options, catalogue(PARTITIONS))
        await pipeline.wait_all_committed(60)
        await traffic.send("high", "agent-1", request("after"))
        assert await traffic.wait_answered(60)
        assert worker.alive
    letters = letters_by_position(await read_all(pipeline.client_options, [DEAD_LETTERS]))
    copies = Counter(len(found) for found in letters.values())
    measured(f"dead letters of one record: {dict(copies)}")

    assert covered == []
    assert set(letters) == set(meanwhile)
    assert set(copies) == {1}


def committed_covers(committed: Positions, where: str) -> bool:
    """Whether the commits call the record at `topic:partition:offset` finished."""
    topic, number, offset = where.rsplit(":", 2)
    found = committed.get(TopicPartition(topic, int(number)))
    return found is not None and found.covers(int(offset))


async def wait_said(worker: WorkerProcess, text: str) -> None:
    """Until the worker's log holds the text."""

    async def is_said() -> bool:
        return text in worker.log_text()

    await wait_until(is_said, 60)


def open_producer(pipeline: Pipeline) -> AIOKafkaProducer:
    """A producer, not started, that lets the broker say what is too large."""
    return AIOKafkaProducer(**pipeline.client_options, max_request_size=8 * limits.MIB)
