"""A group's committed offsets: asked for and written in one request each, every error code read.

In place of aiokafka's own, which drop two things. The error of a whole OffsetFetch answer is not looked at there, so that a
coordinator that has moved seems to know of no commits, and everything retained is read again (librdkafka#5586). And one
partition's refusal hides what became of the others' commits.

The leader epoch travels with the offset (KIP-320), where the broker takes it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
)
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.commit import (
    OffsetCommitRequest_v2,
    OffsetCommitRequest_v3,
    OffsetCommitResponse_v3,
    OffsetFetchRequest_v1,
    OffsetFetchRequest_v2,
    OffsetFetchRequest_v3,
    OffsetFetchResponse_v3,
)
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String
from aiokafka.structs import TopicPartition

from streams.kafka.records import Position
from topics.broker_errors import Advice, BrokerRefusalError, advice_for_code

_RETRY_S: Final = 0.1
_NOT_COMMITTED: Final = -1
_NO_EPOCH: Final = -1

ILLEGAL_GENERATION: Final = 22
UNKNOWN_MEMBER_ID: Final = 25
REBALANCE_IN_PROGRESS: Final = 27
_MOVED: Final = (ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS)

_UNKNOWN_TOPIC_OR_PARTITION: Final = 3

_NOT_ASKED: Final = (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
)

_TEXT: Final = String("utf-8")


class _FetchResponse(OffsetFetchResponse_v3):  # type: ignore[misc]
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", _TEXT),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _TEXT),
                        ("error_code", Int16),
                    ),
                ),
            ),
        ),
        ("error_code", Int16),
    )


class _FetchRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 5
    RESPONSE_TYPE = _FetchResponse
    SCHEMA = OffsetFetchRequest_v3.SCHEMA


class _CommitResponse(OffsetCommitResponse_v3):  # type: ignore[misc]
    API_VERSION = 6


class _CommitRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 8
    API_VERSION = 6
    RESPONSE_TYPE = _CommitResponse
    SCHEMA = Schema(
        ("group", _TEXT),
        ("generation", Int32),
        ("member", _TEXT),
        (
            "topics",
            Array(
                ("topic", _TEXT),
                (
                    "partitions",
                    Array(("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", _TEXT)),
                ),
            ),
        ),
    )


class FetchCommits(Request[OffsetFetchRequest_v1 | OffsetFetchRequest_v2 | OffsetFetchRequest_v3 | _FetchRequest]):  # type: ignore[misc]
    """OffsetFetch of these partitions."""

    API_KEY = 9

    def __init__(self, group_id: str, partitions: Collection[TopicPartition]) -> None:
        self._group_id = group_id
        self._partitions = partitions

    def build(self, request_struct_class: Any) -> Any:
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, number in self._partitions:
            topics[topic].append(number)
        return request_struct_class(self._group_id, list(topics.items()))


class Commit(Request[OffsetCommitRequest_v2 | OffsetCommitRequest_v3 | _CommitRequest]):  # type: ignore[misc]
    """OffsetCommit of these positions."""

    API_KEY = 8

    def __init__(
        self, group_id: str, generation: int, member: str, positions: Mapping[TopicPartition, Position]
    ) -> None:
        self._who = group_id, generation, member
        self._positions = positions

    def build(self, request_struct_class: Any) -> Any:
        has_epoch = request_struct_class.API_VERSION >= 6
        topics: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for (topic, number), position in self._positions.items():
            epoch = (position.leader_epoch,) if has_epoch else ()
            topics[topic].append((number, position.next_offset, *epoch, position.metadata))
        retention = () if has_epoch else (-1,)
        return request_struct_class(*self._who, *retention, list(topics.items()))


def read_commits(response: Any, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Position]:
    """The positions of an OffsetFetch answer; `Position(None)` only where the coordinator says that nothing is committed.

    Raises BrokerRefusalError where it says anything else, and where it says nothing of a partition.
    """
    if getattr(response, "error_code", 0):
        raise BrokerRefusalError(response.error_code, "committed offsets")
    found: dict[TopicPartition, Position] = {}
    for topic, numbers in response.topics:
        for number, offset, *epoch, metadata, error_code in numbers:
            if error_code:
                raise BrokerRefusalError(error_code, f"committed offset of {topic}:{number}")
            found[TopicPartition(topic, number)] = (
                Position(None)
                if offset == _NOT_COMMITTED
                else Position(offset, metadata or "", epoch[0] if epoch else _NO_EPOCH)
            )
    missing = [partition for partition in partitions if partition not in found]
    if missing:
        raise BrokerRefusalError(-1, "no committed offset was told of {}:{}".format(*missing[0]))
    return found


def read_refusals(response: Any, positions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The error codes of an OffsetCommit answer: of those that were not committed; -1 where it says nothing of a partition."""
    refused = dict.fromkeys(positions, -1)
    for topic, numbers in response.topics:
        for number, error_code in numbers:
            partition = TopicPartition(topic, number)
            if error_code:
                refused[partition] = error_code
            else:
                refused.pop(partition, None)
    return refused


class GroupOffsets:
    """Commits of the group that an aiokafka coordinator belongs to."""

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Position]:
        """Committed positions of all these partitions; asks until the coordinator has told them. Cancel it to end that.

        Raises KafkaError where the group may not be asked at all.
        """
        while partitions:
            try:
                await self._coordinator.ensure_coordinator_known()
                response = await self._coordinator._send_req(FetchCommits(self._coordinator.group_id, partitions))
                return read_commits(response, partitions)
            except BrokerRefusalError as error:
                advice = advice_for_code(error.code)
                if advice is Advice.PROCESS:
                    raise
                if advice is Advice.ELSEWHERE and error.code != _UNKNOWN_TOPIC_OR_PARTITION:
                    self._coordinator.coordinator_dead()
            except _NOT_ASKED:
                pass  # the coordinator was marked dead, and is looked up again
            await asyncio.sleep(_RETRY_S)
        return {}

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, int]:
        """Commit them in one request; the error codes of those that were not. Raises KafkaError where nobody knows.

        A coordinator that has moved is looked up by the next request; a member that the group does not know joins again.
        """
        coordinator = self._coordinator
        await coordinator.ensure_coordinator_known()
        request = Commit(coordinator.group_id, coordinator.generation, coordinator.member_id, positions)
        refused = read_refusals(await coordinator._send_req(request), positions)
        codes = set(refused.values())
        if codes & {ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID}:
            coordinator.reset_generation()
        elif REBALANCE_IN_PROGRESS in codes:
            coordinator.request_rejoin()
        elif any(advice_for_code(code) is Advice.ELSEWHERE and code != _UNKNOWN_TOPIC_OR_PARTITION for code in codes):
            coordinator.coordinator_dead()
        return refused

    async def commit_while_joining(
        self, positions: Mapping[TopicPartition, Position], generation: int
    ) -> dict[TopicPartition, int]:
        """As `commit`, of a member that waits for the others of its group to join again.

        The group takes commits of the generation before until the last member has joined, and refuses them from then on, so that
        none can overtake those of a partition's next owner. They go past the connection of the coordinator: a broker reads the
        next request of a connection when the one before is answered, and there the join waits. What is refused changes
        nothing: the join under way decides.
        """
        coordinator = self._coordinator
        node = coordinator.coordinator_id
        if node is None:
            return dict.fromkeys(positions, REBALANCE_IN_PROGRESS)
        request = Commit(coordinator.group_id, generation, coordinator.member_id, positions)
        return read_refusals(await coordinator._client.send(node, request), positions)


def moved(codes: Collection[int]) -> bool:
    """Whether a commit was refused because the group rebalances, or has done so without this member."""
    return any(code in _MOVED for code in codes)
