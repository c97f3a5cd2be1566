"""Which worker gets which partitions: balanced, sticky, and the same number of every request topic.

Partition p of all topics that all subscribe to goes to one worker: an agent whose producers use the contract's partitioner
then lives on one worker, whatever priorities it uses. Each worker says with its join what it owned and in which generation; it
keeps that, up to its fair share, so that a join or a leave moves as few partitions as it can, and calls under way on the others
go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


@dataclass(frozen=True, slots=True)
class Owned:
    """What a worker held when it asked to join: partition numbers, and the group's generation that gave them."""

    partitions: frozenset[int] = frozenset()
    generation: int = -1

    def to_bytes(self) -> bytes:
        return orjson.dumps({"v": 1, "generation": self.generation, "partitions": sorted(self.partitions)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Owned:
        """Nothing owned, if the bytes are not ours: stickiness is a favour, not a condition."""
        try:
            found = orjson.loads(data)
            return cls(frozenset(map(int, found["partitions"])), int(found["generation"]))
        except (ValueError, KeyError, TypeError):
            return cls()


def assign(members: Mapping[str, Owned], partitions: int) -> dict[str, list[int]]:
    """Partition numbers for each member: sizes differ by at most one, and as many as possible stay where they are.

    Where two claim a partition, the claim from the later generation holds (a worker that slept through a rebalance still
    claims what it lost).
    """
    if not members:
        return {}
    owner: dict[int, str] = {}
    for member in sorted(members, key=lambda name: (members[name].generation, name)):
        owner |= {number: member for number in members[member].partitions if number < partitions}
    held: dict[str, list[int]] = {member: [] for member in members}
    for number, member in sorted(owner.items()):
        held[member].append(number)

    # The members that hold most keep the larger shares.
    share, larger = divmod(partitions, len(members))
    by_held = sorted(members, key=lambda name: (-len(held[name]), name))
    quota = {member: share + (rank < larger) for rank, member in enumerate(by_held)}
    given = {member: held[member][: quota[member]] for member in members}

    kept = {number for numbers in given.values() for number in numbers}
    free = iter(sorted(set(range(partitions)) - kept))
    for member in sorted(members):
        for _ in range(quota[member] - len(given[member])):
            given[member].append(next(free))
        given[member].sort()
    return given


def _by_subscribers(members: Mapping[str, ConsumerProtocolMemberMetadata]) -> dict[frozenset[str], list[str]]:
    """Topics by who subscribes to them, in their order. Members differ while the fleet's settings get another tenant: no member
    is given what it does not know.
    """
    subscribers: dict[str, set[str]] = {}
    for member, metadata in members.items():
        for topic in metadata.subscription:
            subscribers.setdefault(topic, set()).add(member)
    topics: dict[frozenset[str], list[str]] = {}
    for topic in sorted(subscribers):
        topics.setdefault(frozenset(subscribers[topic]), []).append(topic)
    return topics


class StickyAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """`assign` for aiokafka's group protocol. An instance a consumer: `owned` says what the worker holds now."""

    name = "headrace-sticky"
    version = 0

    def __init__(self, owned: Callable[[], Owned]) -> None:
        self._owned = owned

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(self.version, sorted(topics), self._owned().to_bytes())

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        owned = {member: Owned.from_bytes(metadata.user_data or b"") for member, metadata in members.items()}
        given: dict[str, list[tuple[str, list[int]]]] = {member: [] for member in members}
        for subscribers, topics in _by_subscribers(members).items():
            sizes = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
            shares = assign({member: owned[member] for member in subscribers}, max(sizes.values(), default=0))
            for member, numbers in shares.items():
                given[member] += [(topic, [each for each in numbers if each < sizes[topic]]) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(self.version, sorted(topics), b"")
            for member, topics in given.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """The consumer's listener is told; nothing to keep here."""
