"""What the cluster knows at the end: every request, every answer, and whether the group's commits reach the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from aiokafka.admin import NewPartitions

from ops.admin.records import open_reader, partitions_of, read_until
from ops.lab.book import Asked, Ended, read_asked, read_ended
from ops.load.traffic import request_id_of
from streams.kafka.admin import rotate_replicas, running_admin
from topics.names import DEAD_LETTERS, REQUEST_TOPICS, RESPONSES


async def read_topics(
    client_options: Mapping[str, object], provider_of: Mapping[str, str]
) -> tuple[dict[str, Asked], list[Ended]]:
    """Every request by id, and every answer and dead letter."""
    asked: dict[str, Asked] = {}
    ended: list[Ended] = []
    seen: Counter[str] = Counter()
    async with open_reader(client_options) as consumer:
        for topic in (*REQUEST_TOPICS, RESPONSES, DEAD_LETTERS):
            partitions = await partitions_of(consumer, [topic])
            begin = await consumer.beginning_offsets(partitions)
            end = await consumer.end_offsets(partitions)
            async for record in read_until(consumer, begin, end):
                if topic == RESPONSES:
                    ended.append(read_ended(record.value, record.timestamp))
                elif topic == DEAD_LETTERS:
                    ended.append(Ended(request_id_of(record.value) or "?", "dead", record.timestamp / 1000))
                else:
                    one = read_asked(record.value, record.key, record.timestamp, provider_of)
                    seen[one.request_id] += 1
                    asked.setdefault(one.request_id, one)
    return {name: replace(one, records=seen[name]) for name, one in asked.items()}, ended


async def uncommitted(client_options: Mapping[str, object], group_id: str) -> int:
    """How many records of the request topics the group has not committed."""
    async with running_admin(client_options) as admin:
        found = await admin.list_consumer_group_offsets(group_id)
    async with open_reader(client_options) as consumer:
        ends = await consumer.end_offsets(await partitions_of(consumer, REQUEST_TOPICS))
    return sum(max(0, end - (found[place].offset if place in found else 0)) for place, end in ends.items())


async def out_of_sync(client_options: Mapping[str, object]) -> int:
    """How many partitions of the request and response topics lack a replica in sync."""
    async with running_admin(client_options) as admin:
        topics = await admin.describe_topics([*REQUEST_TOPICS, RESPONSES])
    return sum(len(part["isr"]) < len(part["replicas"]) for topic in topics for part in topic["partitions"])


async def add_partitions(client_options: Mapping[str, object], topic: str, count: int) -> None:
    """Grow a topic by `count` partitions."""
    async with running_admin(client_options) as admin:
        (found,) = await admin.describe_topics([topic])
        await admin.create_partitions({topic: NewPartitions(len(found["partitions"]) + count)})


async def rotate_leaders(client_options: Mapping[str, object]) -> None:
    """Make another replica the preferred leader of every partition of the request and response topics.

    The controller moves leadership within `leader.imbalance.check.interval.seconds`.
    """
    async with running_admin(client_options) as admin:
        await rotate_replicas(admin, [*REQUEST_TOPICS, RESPONSES])
