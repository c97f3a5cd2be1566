"""Clients of the checks, set up as the workers set theirs up."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor


class NamedAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """An assignor of our own: its protocol name is one that no broker has heard of, with user data of its own."""

    name = "headrace-probe"


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def new_topic(bootstrap: str, partitions: int = 1, **configs: str) -> str:
    """Create a topic with its own name and wait until its partitions have leaders."""
    name = f"probe-{uuid.uuid4().hex[:12]}"
    configs_on_wire = {key.replace("_", "."): value for key, value in configs.items()}
    async with admin(bootstrap) as client:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs_on_wire)])
        ends_at = time.monotonic() + 10
        while time.monotonic() < ends_at:
            (description,) = await client.describe_topics([name])
            found = description.get("partitions", [])
            if len(found) == partitions and all(p["leader"] >= 0 for p in found):
                return name
            await asyncio.sleep(0.05)
    raise AssertionError(f"{name} did not get its {partitions} partitions")


async def topic_settings(bootstrap: str, topic: str) -> dict[str, str]:
    async with admin(bootstrap) as client:
        responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found: dict[str, str] = {}
    for response in responses:
        for error_code, message, _type, _name, entries, *_ in response.resources:
            assert error_code == 0, message
            found.update({entry[0]: entry[1] for entry in entries})
    return found


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[Any]:
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=10_000, **options)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def group_consumer(bootstrap: str, group: str, *topics: str, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": 6000,
        "heartbeat_interval_ms": 500,
        "rebalance_timeout_ms": 6000,
        "fetch_max_wait_ms": 200,
        "isolation_level": "read_committed",
        "partition_assignment_strategy": (NamedAssignor,),
    }
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, group_id=group, **{**settings, **options})


@asynccontextmanager
async def reader(bootstrap: str, topic: str, **options: Any) -> AsyncIterator[Any]:
    """A consumer without a group, from the beginning of the topic."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, **options
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read(consumer: Any, count: int, limit_s: float = 15.0) -> list[Any]:
    """Records of one consumer until there are `count`; fails when they do not come."""
    records: list[Any] = []
    ends_at = time.monotonic() + limit_s
    while len(records) < count:
        assert time.monotonic() < ends_at, f"{len(records)} of {count} records came"
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            records.extend(batch)
    return records


async def read_until_assigned(consumer: Any, partitions: int, limit_s: float = 20.0) -> None:
    ends_at = time.monotonic() + limit_s
    while len(consumer.assignment()) != partitions:
        assert time.monotonic() < ends_at, (
            f"{len(consumer.assignment())} partitions after {limit_s} s, not {partitions}"
        )
        await asyncio.sleep(0.05)
