"""Which partitions may be given records now, and in which order.

Every partition and every class (topic) has a quota of records and bytes that were handed to the pipeline and are not
finished. What is over its quota is left in Kafka (at most one fetch of it waits here) until it is down to a share of the
quota again; the others go on. Classes are served in their order, high first; inside a class the partitions take turns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Quota:
    """Most unfinished records and bytes; a full one opens again at `resume_share` of both."""

    records: int
    bytes: int
    resume_share: float = 0.5


@dataclass(slots=True)
class Gauge:
    """Unfinished records and bytes against a quota, with hysteresis."""

    quota: Quota
    records: int = 0
    bytes: float = 0.0
    full: bool = False

    def add(self, records: int, size: float) -> None:
        self.records += records
        self.bytes += size
        if self.records >= self.quota.records or self.bytes >= self.quota.bytes:
            self.full = True

    def remove(self, records: int, size: float) -> bool:
        """Whether this opened it again."""
        self.records -= records
        self.bytes = self.bytes - size if self.records else 0.0
        share = self.quota.resume_share
        if self.full and self.records <= self.quota.records * share and self.bytes <= self.quota.bytes * share:
            self.full = False
            return True
        return False


@dataclass(slots=True)
class Flow:
    """The quotas of the assigned partitions and of their classes. `topics` in the order in which they are served."""

    topics: Sequence[str]
    partition_quota: Quota
    class_quota: Quota
    partitions: dict[TopicPartition, Gauge] = field(default_factory=dict)
    classes: dict[str, Gauge] = field(default_factory=dict)
    _holds: set[tuple[TopicPartition, str]] = field(default_factory=set)
    _turn: int = 0

    def __post_init__(self) -> None:
        self.classes = {topic: Gauge(self.class_quota) for topic in self.topics}

    def assign(self, kept: Mapping[TopicPartition, tuple[int, float]]) -> None:
        """Begin anew with these partitions and what is unfinished of each (records, bytes)."""
        self.partitions = {partition: Gauge(self.partition_quota) for partition in kept}
        self.classes = {topic: Gauge(self.class_quota) for topic in self.topics}
        self._holds = {hold for hold in self._holds if hold[0] in kept}
        for partition, (records, size) in kept.items():
            self.add(partition, records, size)

    def add(self, partition: TopicPartition, records: int, size: float) -> None:
        """Records of this partition were handed to the pipeline."""
        self.partitions[partition].add(records, size)
        self.classes[partition[0]].add(records, size)

    def remove(self, partition: TopicPartition, records: int, size: float) -> bool:
        """Records were finished; whether something that was full takes records again."""
        opened = self.partitions[partition].remove(records, size)
        return self.classes[partition[0]].remove(records, size) or opened

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
        if gauge is None or gauge.full or self.classes[partition[0]].full:
            return False
        return not any(held == partition for held, _ in self._holds)

    def choose(self, fetched: Collection[TopicPartition]) -> Iterator[TopicPartition]:
        """Of the partitions that have records, those that may be given some, in serving order.

        Quotas are looked at when the next one is asked for, so that what was handed out meanwhile counts.
        """
        self._turn += 1
        for topic in self.topics:
            ready = sorted(partition for partition in fetched if partition[0] == topic)
            turn = self._turn % len(ready) if ready else 0
            for partition in ready[turn:] + ready[:turn]:
                if self.is_open(partition):
                    yield partition

    def paused(self) -> list[TopicPartition]:
        """The assigned partitions that are given nothing now."""
        return [partition for partition in self.partitions if not self.is_open(partition)]
