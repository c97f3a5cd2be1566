"""What stands in a record's place where its batch was not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_ONE_BY_ONE: Final = 1_000
"""So many offsets of a batch are set aside each by itself, so that each has a dead letter of its own. Of more (a batch can name
millions of empty records in a few KB) there is one for them all, which names the last one too."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record, or several of a batch, of which no more is known than the offsets. Becomes a dead letter without a value."""

    offset: int
    timestamp: int
    kind: Literal["too_large", "unreadable"]
    why: str
    last_offset: int
    key: None = None
    value: None = None
    headers: Sequence[tuple[str, bytes]] = ()


def set_aside(
    offset: int, next_offset: int, timestamp: int, kind: Literal["too_large", "unreadable"], why: str
) -> list[SetAside]:
    """What stands in the place of the records from `offset` to before `next_offset`."""
    if next_offset - offset > _ONE_BY_ONE:
        return [SetAside(offset, timestamp, kind, why, next_offset - 1)]
    return [SetAside(each, timestamp, kind, why, each) for each in range(offset, next_offset)]
