"""What differs between the topics that the contract wants and those that a broker has. Pure: asks no broker."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from topics.access import DESCRIBE, Allowed, Operation, missing_acl
from topics.catalogue import TopicSpec
from topics.partitioner import moved_share

DifferenceKind = Literal["missing", "denied", "partitions", "replication", "config"]


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as a broker describes it."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] | None
    """Settings in force, defaults included. None: the broker does not tell."""
    overrides: Mapping[str, str]
    """Those of them that were set on this topic."""
    hidden: bool = False
    """Whether this user may not see the settings."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about one topic that is not as the contract wants it."""

    kind: DifferenceKind
    topic: str
    key: str
    wanted: str
    found: str
    mend: str
    """What a user can do about it."""

    def __str__(self) -> str:
        if self.kind == "denied":
            return f"{self.topic}: {self.mend}"
        if self.kind == "missing":
            return f"{self.topic}: missing, wanted {self.wanted} ({self.mend})"
        return f"{self.topic}: {self.key} is {self.found}, wanted {self.wanted} ({self.mend})"


Needs = Mapping[str, Collection[Operation]]
"""What a process does to topics."""


def plan(
    wanted: Iterable[TopicSpec],
    found: Mapping[str, FoundTopic],
    allowed: Allowed = MappingProxyType({}),
    needs: Needs = MappingProxyType({}),
) -> list[Difference]:
    """Every difference, in the catalogue's order. An empty list means that the broker is as the contract wants it.

    `allowed`: what this user may do, as far as that is known. `needs`: what it has to be allowed besides seeing the topic.
    """
    differences: list[Difference] = []
    for spec in wanted:
        topic = found.get(spec.name)
        may = allowed.get(spec.name)
        if may is not None:
            needed = needs.get(spec.name, ()) or (() if topic is not None else DESCRIBE)
            differences += [
                Difference("denied", spec.name, operation, "allowed", "denied", missing_acl(operation, spec.name))
                for operation in needed
                if operation not in may
            ]
        if topic is None and may is not None and "Describe" not in may:
            continue  # whether it is there is not told
        if topic is None:
            text = f"{spec.partitions} partition{'s' if spec.partitions != 1 else ''}"
            differences.append(Difference("missing", spec.name, "topic", text, "nothing", "headrace topics apply"))
            continue
        differences += _partitions(spec, topic)
        if topic.replication_factor != spec.replication_factor:
            differences.append(
                Difference(
                    "replication",
                    spec.name,
                    "replication factor",
                    str(spec.replication_factor),
                    str(topic.replication_factor),
                    f"set topics.replication_factor = {topic.replication_factor}, or reassign the topic's replicas",
                )
            )
        differences += _config(spec, topic)
    return differences


def repartition_effect(before: int, after: int) -> str:
    """What growing from `before` to `after` partitions does to the keys, in words.

    >>> repartition_effect(8, 9)
    'moves 11.1 % of the keys to another partition'
    """
    return f"moves {moved_share(before, after):.1%} of the keys to another partition".replace("%", " %")


def _partitions(spec: TopicSpec, topic: FoundTopic) -> list[Difference]:
    if topic.partitions == spec.partitions:
        return []
    if topic.partitions < spec.partitions:
        effect = repartition_effect(topic.partitions, spec.partitions)
        mend = f"headrace topics apply --allow-repartition; it {effect}"
    elif spec.grows:
        mend = f"Kafka cannot remove partitions: set topics.partitions = {topic.partitions}, or delete the topic"
    else:
        mend = "Kafka cannot remove partitions: delete the topic and apply again"
    return [Difference("partitions", spec.name, "partitions", str(spec.partitions), str(topic.partitions), mend)]


def _config(spec: TopicSpec, topic: FoundTopic) -> list[Difference]:
    if topic.config is None:
        return []
    return [
        Difference(
            "config", spec.name, key, value, topic.config.get(key, "not set"), "headrace topics apply --alter-configs"
        )
        for key, value in spec.config.items()
        if not _same(value, topic.config.get(key))
    ]


def _same(wanted: str, found: str | None) -> bool:
    """Whether two values mean the same: lists such as `compact,delete` are sets to the broker."""
    return found is not None and set(wanted.split(",")) == {part.strip() for part in found.split(",")}
