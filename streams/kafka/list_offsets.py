"""Where partitions begin and end, and what a group has committed, as seen from outside: every error code is read.

In place of aiokafka's own, which knows four codes of these answers, and takes the error of a whole OffsetFetch answer for
"nothing is committed": a lag of everything that is retained.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, KafkaTimeoutError, StaleMetadata
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from streams.kafka.group_offsets import FetchCommits, read_commits
from streams.kafka.records import Position
from topics.broker_errors import Advice, BrokerRefusalError, advice_for, explain_error

WITHIN_S: Final = 30.0
"""A leader or coordinator that moves takes less."""
_RETRY_S: Final = 0.1
_BEGIN, _END = -2, -1
_GROUP: Final = 0

Answer = TypeVar("Answer")


async def begin_offsets(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """Offsets of the first records that are retained. Raises KafkaError where it does not pass, or after 30 s."""
    return await _offsets(consumer, partitions, _BEGIN)


async def end_offsets(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Offsets behind the last records that this consumer may read. Raises as `begin_offsets`."""
    return await _offsets(consumer, partitions, _END)


async def group_positions(
    consumer: AIOKafkaConsumer, group_id: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Position]:
    """What the group has committed of these; `Position(None)` where the coordinator says: nothing. Raises as `begin_offsets`."""
    client = consumer._client

    async def ask() -> dict[TopicPartition, Position]:
        found = await client.send(client.get_random_node(), FindCoordinatorRequest(group_id, _GROUP))
        if found.error_code:
            raise BrokerRefusalError(found.error_code, f"the coordinator of group {group_id}")
        return read_commits(await client.send(found.coordinator_id, FetchCommits(group_id, partitions)), partitions)

    return await _until_answered(client, ask) if partitions else {}


async def _offsets(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], moment: int
) -> dict[TopicPartition, int]:
    client = consumer._client
    isolation_level = int(consumer._isolation_level == "read_committed")

    async def ask() -> dict[TopicPartition, int]:
        by_leader: dict[int | None, list[TopicPartition]] = defaultdict(list)
        for partition in partitions:
            by_leader[client.cluster.leader_for_partition(partition)].append(partition)
        if unknown := by_leader.pop(None, []) + by_leader.pop(-1, []):
            for topic in {partition.topic for partition in unknown}:
                client.add_topic(topic)  # all of them before one look at the cluster, which takes a while
            raise StaleMetadata("nobody leads {}:{} now".format(*unknown[0]))
        found: dict[TopicPartition, int] = {}
        for leader, led in by_leader.items():
            topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
            for topic, number in led:
                topics[topic].append((number, moment))
            found |= read_offsets(
                await client.send(leader, OffsetRequest(-1, isolation_level, list(topics.items()))), led
            )
        return found

    return await _until_answered(client, ask)


def read_offsets(response: Any, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The offsets of a ListOffsets answer, of all these partitions. Raises BrokerRefusalError for any error in it."""
    found: dict[TopicPartition, int] = {}
    for topic, answers in response.topics:
        for number, code, *told in answers:
            if code:
                raise BrokerRefusalError(code, f"offsets of {topic}:{number}")
            found[TopicPartition(topic, number)] = told[-1] if response.API_VERSION else told[0][0]
    missing = [partition for partition in partitions if partition not in found]
    if missing:
        raise BrokerRefusalError(-1, "no offset was told of {}:{}".format(*missing[0]))
    return found


async def _until_answered(client: Any, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again for as long as the error is one that passes."""
    last: KafkaError | None = None
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    return await ask()
                except KafkaError as error:
                    advice = advice_for(error)
                    if advice not in (Advice.ELSEWHERE, Advice.LATER):
                        raise
                    last = error
                    if advice is Advice.ELSEWHERE:
                        await client.force_metadata_update()
                await asyncio.sleep(_RETRY_S)
    except TimeoutError:
        raise KafkaTimeoutError(f"no answer in {WITHIN_S:g} s: {explain_error(last) if last else 'silence'}") from last
