"""The Python client in a test: a fleet of one worker, a client of it, and what they say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace_client import Answer, Headrace
from ops.processes.fleet import Fleet
from schemas.response import encode_response
from tests.support.pipeline import Pipeline, wait_served


def chat(text: str, **simulated: object) -> dict[str, Any]:
    """A small chat completion; `simulated` is its wish to the simulator."""
    return {
        "model": "small",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 8,
        "headrace_sim": {"completion_tokens": 8, **simulated},
    }


@asynccontextmanager
async def running(pipeline: Pipeline, **settings: object) -> AsyncIterator[Fleet]:
    async with pipeline.fleet(**settings) as fleet:
        await fleet.start(1)
        yield fleet


def client_of(pipeline: Pipeline, **options: Any) -> Headrace:
    return Headrace(pipeline.broker.bootstrap_servers, agent_id="agent-1", **options)


async def make_topic(pipeline: Pipeline, name: str, partitions: int = 3) -> None:
    admin = AIOKafkaAdminClient(**pipeline.client_options)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()
    await wait_served(pipeline.client_options, [name])


async def publish_as_stranger(pipeline: Pipeline, topic: str, key: str, value: bytes, headers: Any = None) -> None:
    async with AIOKafkaProducer(**pipeline.client_options, acks="all") as producer:
        await producer.send_and_wait(topic, value, key=key.encode(), headers=headers)


def an_answer(request_id: str, agent_id: str, text: str = "yes") -> bytes:
    """The value of an answer as the fleet writes it."""
    return encode_response(
        request_id=request_id,
        agent_id=agent_id,
        status="ok",
        payload={"choices": [{"message": {"content": text}}]},
        queue_ms=0,
        provider_ms=0,
        total_ms=0,
        completed_at=datetime.now(UTC),
    )


async def first_answers(client: Headrace, count: int, **options: Any) -> list[Answer]:
    """So many answers, within a minute."""
    found: list[Answer] = []
    async with asyncio.timeout(60), aclosing(client.answers(**options)) as answers:  # type: ignore[type-var]
        async for answer in answers:
            found.append(answer)
            if len(found) == count:
                break
    return found
