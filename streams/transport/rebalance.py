"""What a new assignment means for a worker's partitions: kept, lost or gained. No I/O.

A partition that stayed is one whose committed position is still the one that this worker wrote: it goes on where it was, its
calls under way too. A lost one is dropped, a gained one starts from its commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.structs import TopicPartition

from streams.kafka.records import Position
from streams.transport.offsets import PartitionListener, PartitionOffsets


@dataclass(frozen=True, slots=True)
class Reassigned:
    """A worker's partitions after an assignment."""

    partitions: dict[TopicPartition, PartitionOffsets]
    """All that are the worker's now."""
    gained: list[TopicPartition]
    """Those of them that start from their commit."""
    lost: list[TopicPartition]
    """Those whose work so far is in vain: no longer the worker's, or somebody else's meanwhile and gained anew."""


def reassign(
    before: Mapping[TopicPartition, PartitionOffsets],
    committed: Mapping[TopicPartition, Position],
    listener: PartitionListener,
) -> Reassigned:
    """Keep, drop and gain partitions. `committed`: the position of every assigned one.

    Of the kept ones, lists on which no work has begun are taken back; the lost ones are no longer live.
    """
    partitions: dict[TopicPartition, PartitionOffsets] = {}
    gained: list[TopicPartition] = []
    for partition, position in committed.items():
        offsets = before.get(partition)
        if offsets is not None and offsets.wrote(position):
            offsets.commit(position)
            offsets.take_back()
        else:
            offsets = PartitionOffsets(partition, position, listener)
            gained.append(partition)
        partitions[partition] = offsets
    lost = [partition for partition, offsets in before.items() if partitions.get(partition) is not offsets]
    for partition in lost:
        before[partition].live = False
    return Reassigned(partitions, gained, lost)
