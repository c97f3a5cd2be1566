"""What the broker knows of a group's progress, and whether a commit promised more than was answered."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import ConsumerRecord, TopicPartition

from ops.admin.records import open_reader, partitions_of
from streams.kafka import list_offsets
from streams.transport import commit_metadata
from topics.names import REQUEST_TOPICS


@dataclass(frozen=True, slots=True)
class Committed:
    """A partition's commit: everything before `next_offset` is finished, and the offsets in `ahead` besides."""

    next_offset: int
    ahead: tuple[tuple[int, int], ...] = ()

    def covers(self, offset: int) -> bool:
        """Whether the commit says that the record at `offset` is finished."""
        return offset < self.next_offset or any(start <= offset < stop for start, stop in self.ahead)


Positions = Mapping[TopicPartition, Committed]


async def committed_positions(client_options: Mapping[str, Any], group_id: str) -> Positions:
    """The group's commits, with what their metadata says."""
    admin = AIOKafkaAdminClient(**client_options)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group_id)
    finally:
        await admin.close()
    return {
        TopicPartition(*partition): Committed(
            position.offset, tuple(commit_metadata.decode(position.offset, position.metadata or ""))
        )
        for partition, position in found.items()
        if position.offset >= 0
    }


async def group_assignment(client_options: Mapping[str, Any], group_id: str) -> dict[str, frozenset[int]]:
    """Partition numbers by member, as the group's coordinator has them; empty while the group rebalances."""
    admin = AIOKafkaAdminClient(**client_options)
    await admin.start()
    try:
        (response,) = await admin.describe_consumer_groups([group_id])
    finally:
        await admin.close()
    ((_, _, state, _, _, members, *_),) = response.groups
    if state != "Stable":
        return {}
    return {
        member_id: frozenset(
            number
            for _, numbers in ConsumerProtocolMemberAssignment.decode(assignment).assignment
            for number in numbers
        )
        for member_id, _, _, _, assignment, *_ in members
    }


async def end_offsets(
    client_options: Mapping[str, Any], topics: Iterable[str] = REQUEST_TOPICS
) -> dict[TopicPartition, int]:
    """Where each partition ends, behind markers and aborted records too."""
    async with open_reader(client_options) as consumer:
        return await list_offsets.end_offsets(consumer, await partitions_of(consumer, topics))


async def read_all(
    client_options: Mapping[str, Any], topics: Iterable[str] = REQUEST_TOPICS, **consumer_options: Any
) -> list[ConsumerRecord]:
    """Every record that the topics hold now, aborted ones included unless `isolation_level` says otherwise."""
    records: list[ConsumerRecord] = []
    async with open_reader(client_options, **consumer_options) as consumer:
        partitions = await partitions_of(consumer, topics)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await list_offsets.end_offsets(consumer, partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records += found
    return records


def promised_too_early(
    positions: Positions, records: Iterable[ConsumerRecord], unfinished: Collection[str]
) -> list[str]:
    """Which of the `unfinished` requests a commit calls finished."""
    return [
        request_id
        for record in records
        if (position := positions.get(TopicPartition(record.topic, record.partition))) is not None
        and position.covers(record.offset)
        and (request_id := orjson.loads(record.value)["request_id"]) in unfinished
    ]
