"""What the broker must do with topics and their settings."""

import asyncio
import time
import uuid

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from tests.integration.probe.clients import (
    admin,
    new_topic,
    producer,
    read,
    reader,
    topic_settings,
)


async def log_append_time_is_the_brokers(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, message_timestamp_type="LogAppendTime")
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, b"value", timestamp_ms=1000)
    async with reader(bootstrap, topic) as consumer:
        (record,) = await read(consumer, 1)
    assert abs(record.timestamp / 1000 - time.time()) < 60, f"timestamp {record.timestamp}"
    assert record.timestamp_type == 1


async def a_message_over_the_topics_limit_is_refused(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, max_message_bytes="100000")
    async with producer(bootstrap, max_request_size=1_000_000) as client:
        with pytest.raises(MessageSizeTooLargeError):
            await client.send_and_wait(topic, b"x" * 200_000)


async def topic_settings_are_told(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, retention_ms="86400000", message_timestamp_type="LogAppendTime")
    found = await topic_settings(bootstrap, topic)
    assert found.get("retention.ms") == "86400000", f"retention.ms is {found.get('retention.ms')}"
    assert found.get("message.timestamp.type") == "LogAppendTime"


async def topic_settings_can_be_altered(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, retention_ms="86400000")
    async with admin(bootstrap) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "3600000"})])
    found = await topic_settings(bootstrap, topic)
    assert found.get("retention.ms") == "3600000", f"retention.ms is {found.get('retention.ms')}"


async def partitions_can_be_added(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, 2)
    async with admin(bootstrap) as client:
        await client.create_partitions({topic: NewPartitions(4)})
        ends_at = time.monotonic() + 10
        while True:
            (description,) = await client.describe_topics([topic])
            if len(description["partitions"]) == 4:
                return
            assert time.monotonic() < ends_at, "still 2 partitions"
            await asyncio.sleep(0.1)


async def a_topic_can_be_deleted_and_made_again(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, b"old")
    async with admin(bootstrap) as client:
        await client.delete_topics([topic])
        ends_at = time.monotonic() + 10
        while topic in await client.list_topics():
            assert time.monotonic() < ends_at, "the topic is still there"
            await asyncio.sleep(0.1)
        await client.create_topics([NewTopic(topic, 1, 1)])
    await asyncio.sleep(0.5)
    async with producer(bootstrap) as client:
        record = await client.send_and_wait(topic, b"new")
    assert record.offset == 0, f"offset {record.offset}"


async def an_unknown_topic_is_not_created_by_a_metadata_request(bootstrap: str) -> None:
    name = f"never-{uuid.uuid4().hex[:8]}"
    async with producer(bootstrap) as client:
        task = asyncio.ensure_future(client.send(name, b"value"))
        await asyncio.sleep(1.0)
        task.cancel()
    async with admin(bootstrap) as client:
        assert name not in await client.list_topics()


async def a_compacted_topic_is_taken(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, 6, cleanup_policy="compact,delete", retention_ms="86400000")
    found = await topic_settings(bootstrap, topic)
    assert set(found.get("cleanup.policy", "").split(",")) == {"compact", "delete"}
