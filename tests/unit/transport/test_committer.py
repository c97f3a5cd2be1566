"""Commits against coordinators that refuse some partitions: the others are committed, and metadata shrinks as it must."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.transport import commit_metadata
from streams.transport.committer import Committer
from streams.transport.offsets import PartitionOffsets, Position
from tests.unit.transport.test_offsets import Listener, records

TOO_LARGE = 12
A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Group:
    """A coordinator that takes metadata of at most `most_bytes`, and refuses `refused` besides."""

    def __init__(self, most_bytes: int = 4096, refused: Mapping[TopicPartition, int] | None = None) -> None:
        self.most_bytes = most_bytes
        self.refused = dict(refused or {})
        self.committed: dict[TopicPartition, Position] = {}
        self.requests = 0
        self.gone = False

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, int]:
        self.requests += 1
        if self.gone:
            raise KafkaConnectionError("gone")
        codes = {
            partition: TOO_LARGE if len(position.metadata) > self.most_bytes else self.refused.get(partition, 0)
            for partition, position in positions.items()
        }
        self.committed |= {partition: position for partition, position in positions.items() if not codes[partition]}
        return {partition: code for partition, code in codes.items() if code}


class Holds:
    def __init__(self) -> None:
        self.held: set[TopicPartition] = set()

    def hold(self, partition: TopicPartition, _: str) -> None:
        self.held.add(partition)

    def release(self, partition: TopicPartition, _: str) -> None:
        self.held.discard(partition)


def scattered(partition: TopicPartition, count: int) -> PartitionOffsets:
    """A partition whose head is not finished, and of what follows a part without a pattern."""
    offsets = PartitionOffsets(partition, Position(0), Listener())
    made = offsets.deliver(records(*range(count)), count)
    assert made is not None
    made.start()
    chance = Random(5)
    for index in range(1, count):
        if chance.random() < 0.4:
            made.finish(index)
    return offsets


def finished(partition: TopicPartition, count: int) -> PartitionOffsets:
    offsets = PartitionOffsets(partition, Position(0), Listener())
    made = offsets.deliver(records(*range(count)), count)
    assert made is not None
    made.start()
    made.finish(0, count)
    return offsets


@pytest.mark.parametrize(
    "most_bytes",
    [
        pytest.param(256, id="parallel-consumer#647 and KAFKA.md K10"),
        pytest.param(1024, id="redpanda-data/redpanda#7958: another bound than Kafka's default"),
        pytest.param(10, id="smaller than one run"),
        pytest.param(0, id="apache/kafka#16072: all metadata is too large beside a commit that fits"),
    ],
)
async def test_metadata_shrinks_to_what_the_broker_takes_and_all_is_committed(most_bytes: int) -> None:
    group, holds = Group(most_bytes), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    partitions = {A: scattered(A, 9000), B: finished(B, 5)}
    with structlog.testing.capture_logs() as lines:
        assert await committer.commit(partitions)
    assert group.committed[B] == Position(5)
    written = group.committed.get(A, Position(0))  # a position without metadata is the one that is committed already
    assert written.next_offset == 0
    assert len(written.metadata) <= most_bytes
    runs = commit_metadata.decode(0, written.metadata)
    assert bool(runs) == (most_bytes > 0)
    assert holds.held == {A}  # what does not fit must not become more
    assert all(line["log_level"] == "warning" for line in lines)
    asked = group.requests
    assert await committer.commit(partitions) is False  # nothing new
    assert group.requests == asked  # the bound was learnt


async def test_what_is_held_goes_on_when_its_head_is_finished() -> None:
    group, holds = Group(64), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    offsets = scattered(A, 9000)
    await committer.commit({A: offsets})
    assert holds.held == {A}
    offsets._lists[0].finish(0, 9000)
    assert await committer.commit({A: offsets})
    assert group.committed[A] == Position(9000)
    assert holds.held == set()


async def test_a_partition_that_is_refused_for_another_reason_leaves_the_others_alone_and_is_said_once_a_minute() -> (
    None
):
    group, holds = Group(refused={A: 29}), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    partitions = {A: finished(A, 3), B: finished(B, 5)}
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            assert await committer.commit(partitions) is False
    assert group.committed == {B: Position(5)}
    assert [line["error"] for line in lines] == ["TOPIC_AUTHORIZATION_FAILED (t:0)"]
    assert committer.failing_since is not None
    group.refused = {}
    assert await committer.commit(partitions)
    assert committer.failing_since is None


async def test_a_coordinator_that_is_gone_is_said_once_and_that_it_is_back() -> None:
    group, holds = Group(), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    partitions = {A: finished(A, 3)}
    group.gone = True
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            assert await committer.commit(partitions) is False
        group.gone = False
        assert await committer.commit(partitions)
    assert [line["event"] for line in lines] == [
        "commit failed, next try with the next commit",
        "commits work again",
    ]


async def test_a_group_that_rebalances_is_no_failure() -> None:
    group, holds = Group(refused={A: 27}), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as lines:
        assert await committer.commit({A: finished(A, 3)}) is False
    assert [line["log_level"] for line in lines] == ["info"]
    assert committer.failing_since is None


@pytest.mark.parametrize("most_bytes", [4096, 16])
async def test_partitions_that_move_while_they_are_committed_are_no_fault(most_bytes: int) -> None:
    """The lab, seed 31: an assignment came while the commit of a revoke waited, and the worker ended with a KeyError."""
    partitions = {A: scattered(A, 500), B: finished(B, 5)}

    class Moving(Group):
        async def commit(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, int]:
            for lost in partitions.values():
                lost.live = False
            partitions.clear()
            return await super().commit(positions)

    group, holds = Moving(most_bytes), Holds()
    committer = Committer(group, holds.hold, holds.release)  # type: ignore[arg-type]
    assert await committer.commit(partitions)
    assert group.committed.keys() == {A, B}
    assert holds.held == set()
