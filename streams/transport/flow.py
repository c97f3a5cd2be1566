"""Which partitions may be given records now, and in which order.

Every partition has a quota of records and bytes that were handed to the pipeline and are not finished, and so has every
class: its topic, and with it those of the tenants. The class's is shared out as it fills: a partition may hold as much as is
still free in its class, and no more than its own quota (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on
Networking 6:2, 1998). So one partition alone takes at most half of the class, n of them take n / (n + 1), and some is always left
for a partition that holds little: a noisy agent fills its own partition, a noisy tenant its own partitions, never the class.

What is over its quota is left in Kafka (at most one fetch of it waits here) until it is down to a share of it; the others
go on. Classes are served in their order, high first; inside a class the partitions take turns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

TopicPartition = tuple[str, int]

_LOOKS = 64
"""So often a full class is looked at while it empties."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Most unfinished records and bytes; a full one opens again at `resume_share` of both."""

    records: int
    bytes: int
    resume_share: float = 0.5


@dataclass(slots=True)
class Gauge:
    """Unfinished records and bytes; `full` from when it reached its limit until it is well below."""

    records: int = 0
    bytes: float = 0.0
    full: bool = False

    def add(self, records: int, size: float) -> None:
        self.records += records
        self.bytes += size

    def remove(self, records: int, size: float) -> None:
        self.records -= records
        self.bytes = self.bytes - size if self.records else 0.0


@dataclass(slots=True)
class Flow:
    """The quotas of the assigned partitions and of their classes. `topics` in the order in which they are served."""

    topics: Sequence[str]
    partition_quota: Quota
    class_quota: Quota
    class_of: Mapping[str, str] = field(default_factory=dict)
    """By which of its topics a class is known, of topics that share one. A topic that is not in it is a class by itself."""
    partitions: dict[TopicPartition, Gauge] = field(default_factory=dict)
    classes: dict[str, Gauge] = field(default_factory=dict)
    _holds: set[tuple[TopicPartition, str]] = field(default_factory=set)
    _until_look: dict[str, int] = field(default_factory=dict)
    """Records to be finished until the class's full partitions are looked at: a look at 12 costs 5 us."""
    _turn: int = 0

    def __post_init__(self) -> None:
        self.class_of = {topic: self.class_of.get(topic, topic) for topic in self.topics}
        self._until_look = dict.fromkeys(self.class_of.values(), 0)
        self.classes = {name: Gauge() for name in self._until_look}

    def assign(self, kept: Mapping[TopicPartition, tuple[int, float]]) -> None:
        """Begin anew with these partitions and what is unfinished of each (records, bytes)."""
        self.partitions = {partition: Gauge() for partition in kept}
        self.classes = {name: Gauge() for name in self._until_look}
        self._holds = {hold for hold in self._holds if hold[0] in kept}
        for partition, (records, size) in kept.items():
            self.add(partition, records, size)

    def add(self, partition: TopicPartition, records: int, size: float) -> None:
        """Records of this partition were handed to the pipeline."""
        self.partitions[partition].add(records, size)
        self.classes[self.class_of[partition[0]]].add(records, size)

    def remove(self, partition: TopicPartition, records: int, size: float) -> bool:
        """Records were finished; whether a partition that was full takes records again."""
        name = self.class_of[partition[0]]
        own, held = self.partitions[partition], self.classes[name]
        own.remove(records, size)
        held.remove(records, size)
        opened = own.full and self._open_if_well_below(partition, own)
        self._until_look[name] -= records
        if self._until_look[name] <= 0 or not held.records:  # what this one left, others may take
            self._until_look[name] = self.class_quota.records // _LOOKS
            for other, gauge in self.partitions.items():
                if gauge.full and self.class_of[other[0]] == name:
                    opened = self._open_if_well_below(other, gauge) or opened
        return opened

    def room(self, partition: TopicPartition) -> int:
        """Records that an open partition may be given at once; at least 1."""
        most, _ = self._limits(partition)
        return max(1, most - self.partitions[partition].records)

    def _limits(self, partition: TopicPartition) -> tuple[int, float]:
        """Records and bytes that the partition may hold as things are."""
        held, own, whole = self.classes[self.class_of[partition[0]]], self.partition_quota, self.class_quota
        return min(own.records, whole.records - held.records), min(own.bytes, whole.bytes - held.bytes)

    def _open_if_well_below(self, partition: TopicPartition, gauge: Gauge) -> bool:
        records, size = self._limits(partition)
        share = self.partition_quota.resume_share
        gauge.full = gauge.records > records * share or gauge.bytes > size * share
        return not gauge.full

    def hold(self, partition: TopicPartition, reason: str) -> None:
        """Pause a partition for another reason than its quota, until every reason is released."""
        self._holds.add((partition, reason))

    def release(self, partition: TopicPartition, reason: str) -> bool:
        """Whether the reason was there."""
        if (partition, reason) not in self._holds:
            return False
        self._holds.discard((partition, reason))
        return True

    def is_open(self, partition: TopicPartition) -> bool:
        gauge = self.partitions.get(partition)
        if gauge is None:
            return False
        if not gauge.full:
            records, size = self._limits(partition)
            gauge.full = gauge.records >= records or gauge.bytes >= size
        if gauge.full:
            return False
        return not any(held == partition for held, _ in self._holds)

    def why_closed(self, partition: TopicPartition) -> str | None:
        """Why the partition is given no records now: `partition`, `class`, or the reason for which it is held; None: it is."""
        if (held := next((reason for where, reason in self._holds if where == partition), None)) is not None:
            return held
        if self.is_open(partition):
            return None
        own, quota = self.partitions[partition], self.partition_quota
        full = own.records >= quota.records * quota.resume_share or own.bytes >= quota.bytes * quota.resume_share
        return "partition" if full else "class"

    def choose(self, fetched: Collection[TopicPartition]) -> Iterator[TopicPartition]:
        """Of the partitions that have records, those that may be given some, in serving order.

        Quotas are looked at when the next one is asked for, so that what was handed out meanwhile counts.
        """
        self._turn += 1
        for name in self.classes:
            ready = sorted(partition for partition in fetched if self.class_of[partition[0]] == name)
            turn = self._turn % len(ready) if ready else 0
            for partition in ready[turn:] + ready[:turn]:
                if self.is_open(partition):
                    yield partition

    def paused(self) -> list[TopicPartition]:
        """The assigned partitions that are given nothing now."""
        return [partition for partition in self.partitions if not self.is_open(partition)]
