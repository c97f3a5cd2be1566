"""Ids of requests: they say on which lane and since when their answer may be, so that any front finds it on the log. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

_LANE_BYTES, _TIME_BYTES, RANDOM_BYTES = 2, 6, 8
_SIZE: Final = _LANE_BYTES + _TIME_BYTES + RANDOM_BYTES
_TEXT_CHARS: Final = 26
_PADDING: Final = b"======"


@dataclass(frozen=True, slots=True)
class Where:
    """Where the answer to a request is: a partition of the fronts' topic, from a moment on (Unix time in ms)."""

    lane: int
    since_ms: int


def new_id(prefix: str, where: Where, random: bytes) -> str:
    """An id of `prefix` and 26 letters and digits. `random`: RANDOM_BYTES that no other id has.

    >>> read_id(new_id("chatcmpl-", Where(3, 1_700_000_000_000), bytes(8)))
    Where(lane=3, since_ms=1700000000000)
    """
    packed = where.lane.to_bytes(_LANE_BYTES, "big") + where.since_ms.to_bytes(_TIME_BYTES, "big") + random
    return prefix + base64.b32encode(packed).rstrip(b"=").decode().lower()


def read_id(text: str) -> Where | None:
    """What an id of a front says; None for any other text."""
    tail = text[-_TEXT_CHARS:]
    if len(tail) < _TEXT_CHARS or not tail.isascii():
        return None
    try:
        packed = base64.b32decode(tail.upper().encode() + _PADDING)
    except ValueError:
        return None
    if len(packed) != _SIZE:
        return None
    return Where(int.from_bytes(packed[:_LANE_BYTES], "big"), int.from_bytes(packed[2 : 2 + _TIME_BYTES], "big"))
