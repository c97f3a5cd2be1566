"""What the index writes down of itself: positions on the topics, generations of ids, its version. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from ops.ui.index.codes import STATUSES
from ops.ui.index.keys import META
from ops.ui.index.row import VERSION

VERSION_KEY: Final = META + b"version"
GENERATIONS_KEY: Final = META + b"generations"
TENANTS_KEY: Final = META + b"tenants"
_POSITION: Final = META + b"position:"
VERSION_VALUE: Final = str(VERSION).encode()

_GENERATION: Final = Struct(">IIQ")
_COUNTS: Final = Struct(">" + "I" * len(STATUSES))

Partition = tuple[str, int]


def position_item(partition: Partition, next_offset: int) -> tuple[bytes, bytes]:
    """As it is written.

    >>> read_position(*position_item(("agent.responses", 3), 17))
    (('agent.responses', 3), 17)
    """
    return _POSITION + f"{partition[0]}:{partition[1]}".encode(), str(next_offset).encode()


def read_position(key: bytes, value: bytes) -> tuple[Partition, int]:
    topic, _, number = key.removeprefix(_POSITION).decode().rpartition(":")
    return (topic, int(number)), int(value)


POSITIONS_PREFIX: Final = _POSITION
WAITING_PREFIX: Final = META + b"waiting:"
"""How many wait, by class, tenant and partition."""


def waiting_item(prefix: int, number: int) -> tuple[bytes, bytes]:
    """As it is written.

    >>> read_waiting(*waiting_item(0x400003, 17)) == (0x400003, 17)
    True
    """
    return WAITING_PREFIX + prefix.to_bytes(3, "big"), max(0, number).to_bytes(8, "big")


def read_waiting(key: bytes, value: bytes) -> tuple[int, int]:
    return int.from_bytes(key.removeprefix(WAITING_PREFIX), "big"), int.from_bytes(value, "big")


@dataclass(slots=True)
class Generation:
    """Ids that were written one after the other; they are dropped together when all their requests are."""

    number: int
    ids: int = 0
    newest_ms: int = 0


@dataclass(slots=True)
class Generations:
    """All of them, the oldest first. A new one begins after `ids_each` ids."""

    ids_each: int
    all: list[Generation] = field(default_factory=lambda: [Generation(0)])

    @property
    def current(self) -> Generation:
        return self.all[-1]

    def note(self, time_ms: int) -> int:
        """An id of a request of this time is about to be written: the generation's number."""
        if self.current.ids >= self.ids_each:
            self.all.append(Generation(self.current.number + 1))
        generation = self.current
        generation.ids += 1
        generation.newest_ms = max(generation.newest_ms, time_ms)
        return generation.number

    def drop_before(self, time_ms: int) -> list[int]:
        """Forget those whose requests are all older, but never the one that is written; their numbers."""
        gone = [each.number for each in self.all[:-1] if each.newest_ms < time_ms]
        self.all = [each for each in self.all if each.number not in gone]
        return gone

    def encode(self) -> bytes:
        return b"".join(_GENERATION.pack(each.number, each.ids, each.newest_ms) for each in self.all)

    @classmethod
    def decode(cls, ids_each: int, value: bytes | None) -> Generations:
        found = [Generation(*each) for each in _GENERATION.iter_unpack(value or b"")]
        return cls(ids_each, found or [Generation(0)])


def encode_counts(counts: list[int]) -> bytes:
    """Requests of a minute by status; what a crash made negative counts as none."""
    return _COUNTS.pack(*(min(max(0, each), 2**32 - 1) for each in counts))


def decode_counts(value: bytes | None) -> list[int]:
    return [0] * len(STATUSES) if value is None else list(_COUNTS.unpack(value))


def added(value: bytes | None, more: list[int]) -> list[int]:
    return [old + new for old, new in zip(decode_counts(value), more, strict=True)]
