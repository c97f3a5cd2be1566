"""What a new assignment keeps, drops and gains."""

from __future__ import annotations

from aiokafka.structs import TopicPartition

from streams.kafka.records import Position
from streams.transport.offsets import PartitionOffsets
from streams.transport.rebalance import reassign
from tests.unit.transport.test_offsets import Listener, records

P0, P1, P2 = (TopicPartition("t", number) for number in range(3))


def held(*partitions: TopicPartition) -> dict[TopicPartition, PartitionOffsets]:
    return {each: PartitionOffsets(each, Position(5), Listener()) for each in partitions}


def test_a_partition_whose_commit_is_ours_goes_on_and_what_has_not_begun_is_taken_back() -> None:
    before = held(P0)
    begun = before[P0].deliver(records(5, 6), 7)
    assert begun is not None
    begun.start()
    before[P0].deliver(records(7, 8), 9)
    after = reassign(before, {P0: Position(5)}, Listener())
    assert (after.partitions[P0], after.gained, after.lost) == (before[P0], [], [])
    assert (before[P0].live, before[P0].position, before[P0].unfinished) == (True, 7, 2)


def test_a_partition_that_is_gone_is_lost_and_a_new_one_starts_from_its_commit() -> None:
    before = held(P0, P1)
    after = reassign(before, {P1: Position(5), P2: Position(40)}, Listener())
    assert (list(after.partitions), after.gained, after.lost) == ([P1, P2], [P2], [P0])
    assert (before[P0].live, before[P1].live, after.partitions[P2].position) == (False, True, 40)


def test_a_partition_that_somebody_else_committed_meanwhile_is_lost_and_gained_anew() -> None:
    before = held(P0)
    after = reassign(before, {P0: Position(9)}, Listener())
    assert (after.gained, after.lost) == ([P0], [P0])
    assert after.partitions[P0] is not before[P0]
    assert (before[P0].live, after.partitions[P0].position) == (False, 9)
