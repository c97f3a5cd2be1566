"""Records as they are fetched, where they are of, and what a commit says of a partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Record(Protocol):
    """What we use of aiokafka's records. Which partition they are of stands once, at their list."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Unix time in ms, set by the broker (LogAppendTime)."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """The partition that records are of."""

    topic: str
    partition: int

    def event_id(self, offset: int) -> bytes:
        """`topic:partition:offset`, which names a record and the event that it is."""
        return b"%b:%d:%d" % (self.topic.encode(), self.partition, offset)


@dataclass(frozen=True, slots=True)
class Original:
    """A record, and the partition it is of."""

    record: Record
    origin: Origin


@dataclass(frozen=True, slots=True)
class Position:
    """What a commit says of a partition. `next_offset` None: nothing is known yet, so there is nothing to commit."""

    next_offset: int | None
    metadata: str = ""
    leader_epoch: int = field(default=-1, compare=False)
    """The epoch of the leader whose log the offset is of (KIP-320); -1: not known."""
