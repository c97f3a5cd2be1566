"""What the broker must do for consumer groups: share partitions, notice the dead, keep commits and their metadata."""

import asyncio
import struct
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import IllegalGenerationError, OffsetMetadataTooLargeError

from tests.integration.probe.clients import (
    admin,
    group_consumer,
    new_topic,
    read_until_assigned,
)
from tests.support.processes import running

ROOT = Path(__file__).parents[3]
MEMBER = (sys.executable, "-m", "tests.integration.probe", "--member")


async def commit_metadata_comes_back(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    metadata = "m" * 4000
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        await consumer.commit({first: OffsetAndMetadata(7, metadata), second: OffsetAndMetadata(3, "")})
        found = await consumer._coordinator.fetch_committed_offsets([first, second])
    finally:
        await consumer.stop()
    assert (found[first].offset, found[first].metadata) == (7, metadata)
    assert (found[second].offset, found[second].metadata) == (3, "")
    again = group_consumer(bootstrap, group, topic)
    await again.start()
    try:
        found = await again._coordinator.fetch_committed_offsets([first, second])
    finally:
        await again.stop()
    assert found[first].metadata == metadata


async def metadata_over_4096_bytes_is_refused(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        with pytest.raises(OffsetMetadataTooLargeError):
            await consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(7, "m" * 5000)})
    finally:
        await consumer.stop()


async def a_commit_of_a_member_that_was_replaced_is_refused(bootstrap: str) -> None:
    """The fence of at-least-once: whoever is not of the current generation may not move the group's offsets."""
    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    old = group_consumer(bootstrap, group, topic)
    await old.start()
    new = group_consumer(bootstrap, group, topic)
    try:
        await read_until_assigned(old, 2)
        coordinator = old._coordinator
        stale = coordinator.generation
        starting = asyncio.ensure_future(new.start())
        await read_until_assigned(old, 1)
        await starting
        current = coordinator.generation, coordinator.member_id
        coordinator.generation = stale
        try:
            with pytest.raises(IllegalGenerationError):
                await coordinator._do_commit_offsets(
                    old._subscription.subscription.assignment, {TopicPartition(topic, 0): OffsetAndMetadata(5, "")}
                )
        finally:  # else aiokafka joins as a new member, and the group waits for the old one's session to end
            coordinator.generation, coordinator.member_id = current
    finally:
        await new.stop()
        await old.stop()


async def a_second_member_shares_the_partitions(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap, 4), f"group-{uuid.uuid4().hex[:8]}"
    one, two = group_consumer(bootstrap, group, topic), group_consumer(bootstrap, group, topic)
    await one.start()
    try:
        await read_until_assigned(one, 4)
        starting = asyncio.ensure_future(two.start())
        await read_until_assigned(one, 2)
        await asyncio.wait_for(starting, 20)
        await read_until_assigned(two, 2)
        assert not one.assignment() & two.assignment()
        await two.stop()
        await read_until_assigned(one, 4)
    finally:
        await one.stop()


async def partitions_of_a_dead_member_move_after_its_session(bootstrap: str) -> None:
    """A member that vanishes without a word (its process killed) loses its partitions when its session times out."""
    topic, group = await new_topic(bootstrap, 4), f"group-{uuid.uuid4().hex[:8]}"
    one = group_consumer(bootstrap, group, topic)
    await one.start()
    try:
        async with running(*MEMBER, bootstrap, group, topic, cwd=ROOT):
            await read_until_assigned(one, 2)  # leaving the block kills it
        await read_until_assigned(one, 4, limit_s=30.0)
    finally:
        await one.stop()


async def users_data_of_an_assignor_reaches_the_leader(bootstrap: str) -> None:
    """Our assignor tells in its metadata what a member holds: the broker must hand it on untouched."""
    heard: set[bytes] = set()

    class TellingAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
        name = "headrace-telling"

        @classmethod
        def metadata(cls, topics: Any) -> Any:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), struct.pack(">q", 42))

        @classmethod
        def assign(cls, cluster: Any, members: Mapping[str, Any]) -> Any:
            heard.update(member.user_data for member in members.values())
            return super().assign(cluster, members)

    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic, partition_assignment_strategy=(TellingAssignor,))
    await consumer.start()
    await consumer.stop()
    assert heard == {struct.pack(">q", 42)}


async def group_lag_can_be_asked(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        await consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(4, "why")})
        async with admin(bootstrap) as client:
            found = await client.list_consumer_group_offsets(group)
            groups = [name for name, *_ in await client.list_consumer_groups()]
    finally:
        await consumer.stop()
    assert found[TopicPartition(topic, 0)].offset == 4
    assert group in groups


async def be_a_member(bootstrap: str, group: str, topic: str) -> None:
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    await asyncio.Event().wait()
