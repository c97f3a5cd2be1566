"""A caller's own reply topic takes nothing: its answers are given up by the rule, and nobody else's partition waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.load.traffic import Answer
from schemas.dead_letter import DeadLetter
from tests.support.fixtures import Measured
from tests.support.pipeline import PARTITIONS, Pipeline, delete_topics, request, send_steadily, wait_served, wait_until
from tests.support.positions import read_all
from topics.names import DEAD_LETTERS, RESPONSES, TOPIC_OF

pytestmark = pytest.mark.chaos

PATIENCE_S = 10
"""Whoever is held up by a topic in trouble waits so long: a machine that stands still for some seconds is not taken for it."""
THEIRS = 400
HONEST_PER_S, HONEST_S = 30, 12

TOPIC = "agent.responses.tenant-b.y"


async def make_topic(pipeline: Pipeline, name: str, partitions: int, config: Mapping[str, str]) -> None:
    admin = AIOKafkaAdminClient(**pipeline.client_options)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config))])

    finally:
        await admin.close()
    await wait_served(pipeline.client_options, [name])


async def send_theirs(pipeline: Pipeline, prefix: str, count: int, reply_to: str) -> None:
    """Requests from as many agents, so that all partitions have some."""
    producer = AIOKafkaProducer(**pipeline.client_options)
    await producer.start()
    try:
        for number in range(count):
            value = orjson.dumps({"agent_id": f"{prefix}-{number}", **request(f"{prefix}-{number}")})
            await producer.send(
                TOPIC_OF["normal"],
                value,
                partition=number % PARTITIONS,
                headers=[("reply_to", reply_to.encode())],
            )
        await producer.flush()
    finally:
        await producer.stop()


async def letters_of(pipeline: Pipeline, prefix: str) -> list[DeadLetter]:
    found = await read_all(pipeline.client_options, [DEAD_LETTERS])
    return [
        DeadLetter.from_headers(record.headers)
        for record in found
        if orjson.loads(record.value or b"{}").get("request_id", "").startswith(prefix)
    ]


async def answers_of(pipeline: Pipeline, prefix: str) -> list[dict[str, Any]]:
    found = [orjson.loads(record.value) for record in await read_all(pipeline.client_options, [RESPONSES])]
    return [answer for answer in found if answer["request_id"].startswith(prefix)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        pytest.param({"message.timestamp.before.max.ms": "0"}, "INVALID_TIMESTAMP", id="it refuses every timestamp"),
        pytest.param({"max.message.bytes": "100"}, "MESSAGE_TOO_LARGE", id="no answer is small enough for it"),
        pytest.param({"cleanup.policy": "compact"}, "UNKNOWN_TOPIC_OR_PARTITION", id="it is deleted once it is known"),
    ],
)
async def test_a_reply_topic_that_takes_nothing_costs_nobody_else_anything(
    pipeline: Pipeline, measured: Measured, config: Mapping[str, str], reason: str
) -> None:
    await make_topic(pipeline, TOPIC, PARTITIONS, config)
    honest = [request(f"honest-{n}", timeout_s=20.0) for n in range(HONEST_PER_S * HONEST_S)]
    delays: list[float] = []

    def note(answer: Answer) -> None:
        found = orjson.loads(answer.value or b"{}")
        if found.get("request_id", "").startswith("honest"):
            delays.append(found["timing"]["total_ms"] / 1000)

    async with (
        pipeline.fleet(topics__reply_patience=f"{PATIENCE_S}s") as fleet,
        pipeline.traffic(on_answer=note) as traffic,
    ):
        (worker,) = await fleet.start(1)
        if reason == "UNKNOWN_TOPIC_OR_PARTITION":
            await send_theirs(pipeline, "before", PARTITIONS, TOPIC)

            async def they_are_answered() -> bool:
                return len(await read_all(pipeline.client_options, [TOPIC])) == PARTITIONS

            await wait_until(they_are_answered, 60)
            await delete_topics(pipeline.client_options, [TOPIC])
        began = time.monotonic()
        await send_theirs(pipeline, "theirs", THEIRS, TOPIC)
        sending = asyncio.create_task(send_steadily(traffic, honest, HONEST_PER_S))
        await sending
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        took_s = time.monotonic() - began
        await send_theirs(pipeline, "later", 12, TOPIC)
        await pipeline.wait_all_committed(60)
        summary = traffic.ledger.summary()
        assert worker.alive
    letters, answers = await letters_of(pipeline, "theirs"), await answers_of(pipeline, "theirs")
    delays.sort()
    p99 = delays[int(len(delays) * 0.99)]
    measured(
        f"{summary}; honest p99 {p99:.2f} s; theirs: {len(letters)} letters, {len(answers)} answered elsewhere; {took_s:.1f} s"
    )

    assert (summary.ok, summary.lost) == (len(honest), 0)
    assert p99 < PATIENCE_S - 0.5  # who waits for a topic in trouble waits for its patience
    # Each of theirs has an end of its own: a letter, or the answer that its topic is refused now.
    assert {letter.dlq_reason for letter in letters} <= {"undeliverable"}
    assert letters
    assert any(reason in letter.dlq_error_message for letter in letters)
    assert {answer["error"]["type"] for answer in answers} <= {"invalid_reply_to"}
    assert len(letters) + len(answers) == THEIRS
