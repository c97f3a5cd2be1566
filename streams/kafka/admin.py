"""A running admin client of aiokafka, and what its public calls lack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest

from streams.kafka.sealed import unsealed

_WITHIN_MS = 10_000


@asynccontextmanager
async def running_admin(client_options: Mapping[str, object]) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client that has started, and is closed in the end. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**unsealed(client_options))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def rotate_replicas(admin: AIOKafkaAdminClient, topics: Collection[str]) -> None:
    """Make the next replica the preferred leader of every partition of these topics. Raises KafkaError."""
    wanted: list[tuple[object, ...]] = [
        (
            topic["topic"],
            [(part["partition"], [*part["replicas"][1:], part["replicas"][0]], {}) for part in topic["partitions"]],
            {},
        )
        for topic in await admin.describe_topics(list(topics))
    ]
    await admin._send_request(AlterPartitionReassignmentsRequest(_WITHIN_MS, wanted, {}))
