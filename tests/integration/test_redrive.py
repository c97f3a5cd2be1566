"""A redrive on a real broker: counted, stopped, gone on with, and killed in the middle; every letter once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ops.admin.actions import make_action, write
from ops.admin.records import open_reader, open_writer, partitions_of, read_until
from ops.admin.redrive import count, follow
from ops.processes.fleet import WorkerProcess
from schemas.admin import AdminOutcome, LetterFilter, Moved
from schemas.dead_letter import DeadLetter
from streams.actions.wire import encode
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.settings import Settings, load_settings
from tests.support.cli import headrace
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, request
from topics.names import ADMIN, DEAD_LETTERS, REQUEST_TOPICS

FULL = os.environ.get("TEST_FULL") == "1"
LETTERS, RATE = (100_000, 500) if FULL else (1_200, 100)


async def bury(pipeline: Pipeline, count: int, **fields: Any) -> None:
    """So many letters of requests `dead-0`, `dead-1`, …"""
    given = {
        "dlq_reason": "exhausted", "dlq_stage": "providers", "dlq_error_type": "provider_unavailable",
        "dlq_error_message": "503", "dlq_topic": REQUEST_TOPICS[1], "dlq_partition": 0, "dlq_offset": 0,
        "dlq_timestamp": 1, "dlq_attempts": 3, "dlq_provider": "sim", **fields,
    }  # fmt: skip
    headers = DeadLetter.model_validate(given).to_headers(fields.pop("headers", ()))
    async with open_writer(pipeline.client_options, linger_ms=20) as producer:
        sent = [
            await producer.send(
                DEAD_LETTERS, orjson.dumps(request(f"dead-{number}")), b"agent-%d" % (number % 97), headers=headers
            )
            for number in range(count)
        ]
        await asyncio.gather(*sent)


async def redriven(pipeline: Pipeline) -> list[Any]:
    """What is on the request topics and committed."""
    async with open_reader(pipeline.client_options, isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, REQUEST_TOPICS)
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        return [record async for record in read_until(consumer, begins, ends)]


class Asked:
    """A redrive that was asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.action_id = ""
        self.offset = 0
        self.seen: list[AdminOutcome] = []

    async def send(self, **fields: Any) -> None:
        counted = await count(self.settings, fields.get("letters", LetterFilter()))
        made = make_action("redrive", "test", touches=counted.sent, until=counted.until, **fields)
        self.action_id, self.offset = made.action_id, await write(self.settings, made)

    async def until(self, enough: Any, within_s: float = 60) -> Moved:
        async with asyncio.timeout(within_s):
            async for said in follow(self.settings, self.action_id, self.offset):
                self.seen.append(said)
                assert said.moved is not None
                if enough(said):
                    return said.moved
        raise AssertionError(f"it ended before: {self.seen[-1]}")


def control(pipeline: Pipeline, name: str) -> WorkerProcess:
    return WorkerProcess(
        name, pipeline.directory / "headrace.toml", pipeline.directory / f"{name}.log", command="control"
    )


async def test_killed_stopped_and_gone_on_with_every_letter_is_sent_once(
    pipeline: Pipeline, measured: Measured
) -> None:
    settings = load_settings(pipeline.settings())
    await bury(pipeline, LETTERS)
    await bury(pipeline, 3, dlq_reason="poison")
    asked = Asked(settings)
    first = control(pipeline, "c0")
    try:
        await first.wait_ready(60)
        await asked.send(rate=RATE, letters=LetterFilter(reason="exhausted"))
        await bury(pipeline, 5)  # after it was counted: not of this redrive
        part = await asked.until(lambda said: said.moved.sent >= LETTERS // 4)
    finally:
        first.kill()
    second = control(pipeline, "c1")
    try:
        await second.wait_ready(60)
        await asked.until(lambda said: said.moved.sent > part.sent + LETTERS // 4, LETTERS / RATE + 60)
        await write(settings, make_action("redrive_stop", "test", redrive_id=asked.action_id))
        halted = await asked.until(lambda said: said.state == "stopped")
        await asyncio.sleep(1.5)
        assert len(await redriven(pipeline)) == halted.sent, "nothing is sent while it is stopped"
        faster = None if FULL else 1_000
        asked.offset = await write(
            settings, make_action("redrive_go_on", "test", redrive_id=asked.action_id, rate=faster)
        )
        ended = await asked.until(lambda said: said.state == "done", LETTERS / RATE + 60)
    finally:
        await second.stop(10)
    records = await redriven(pipeline)
    times = Counter(orjson.loads(record.value)["request_id"] for record in records)
    measured(f"{LETTERS} letters at {RATE}/s, killed after {part.sent}, stopped after {halted.sent}: {ended}")
    assert (ended.sent, ended.skipped, ended.guarded) == (LETTERS, 0, 0)
    assert len(times) == LETTERS, "none is lost"
    assert set(times.values()) == {1}, "none is sent twice"
    assert {dict(record.headers)["redriven"] for record in records} == {b"1"}
    assert not any(name.startswith("dlq_") for record in records for name, _ in record.headers)


async def test_what_a_process_had_begun_when_it_died_does_not_count_and_it_commits_no_more(pipeline: Pipeline) -> None:
    """The worst moment: a batch and its outcome are written, and the commit is not."""
    settings = load_settings(pipeline.settings())
    await bury(pipeline, 20)
    asked = Asked(settings)
    await asked.send(rate=1_000)
    dead = AIOKafkaProducer(**pipeline.client_options, transactional_id=f"{pipeline.group_id}-redrive")
    process = control(pipeline, "c0")
    await dead.start()
    try:
        await dead.begin_transaction()
        await dead.send_and_wait(REQUEST_TOPICS[1], b"{}", b"half")
        said = AdminOutcome(
            action_id=asked.action_id,
            action="redrive",
            state="done",
            process="dead",
            moved=Moved(sent=20, partition=12),
        )
        made = encode(said, "/dead")
        await dead.send_and_wait(ADMIN, made.value, made.key, partition=0, headers=made.headers)
        await process.wait_ready(60)
        ended = await asked.until(lambda said: said.state == "done")
        with pytest.raises(KafkaError):
            await dead.commit_transaction()
    finally:
        await process.stop(10)
        await dead.stop()
    records = await redriven(pipeline)
    assert (ended.sent, len(records)) == (20, 20)
    assert b"half" not in {record.key for record in records}


async def test_the_dry_run_counts_to_the_letter_and_what_was_sent_too_often_stays(pipeline: Pipeline) -> None:
    path = pipeline.settings()
    await bury(pipeline, 4)
    await bury(pipeline, 2, headers=[("redriven", b"3")])
    await bury(pipeline, 1, dlq_topic="agent.keys")
    await bury(pipeline, 2, dlq_provider="other", dlq_topic=REQUEST_TOPICS[0])
    dry = await headrace("redrive", "--json", settings=path)
    said = orjson.loads(dry.out)
    assert (said["matched"], said["sent"], said["skipped"], said["guarded"]) == (9, 6, 1, 2)
    assert (said["by_provider"], said["by_class"]["high"]) == ({"sim": 7, "other": 2}, 2)
    assert await redriven(pipeline) == []
    process = control(pipeline, "c0")
    try:
        await process.wait_ready(60)
        one = await headrace("redrive", "--provider", "other", "--because", "fixed", "--yes", settings=path)
        assert (one.code, one.out.splitlines()[-1]) == (0, "done  2 sent again"), one
        rest = await headrace("redrive", "--provider", "sim", "--force", "--yes", settings=path)
        assert rest.out.splitlines()[-1] == "done  6 sent again, 1 cannot be sent"
    finally:
        await process.stop(10)
    found = [dict(record.headers)["redriven"] for record in await redriven(pipeline)]
    assert sorted(found) == [b"1"] * 6 + [b"4"] * 2
