"""Ids of requests: they say on which lane and since when their answer may be, so that any front finds it on the log. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

_LANE_BYTES, _TIME_BYTES, RANDOM_BYTES = 2, 6, 8
_SIZE: Final = _LANE_BYTES + _TIME_BYTES + RANDOM_BYTES
OWNER_BYTES: Final = 4
"""A mark of the key that asked, behind the rest; ids without one are of fronts without keys."""
_TEXT_CHARS: Final = {26: b"======", 32: b""}
"""Lengths of an id without and with an owner's mark, and what base32 wants behind them."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the answer to a request is: a partition of the fronts' topic, from a moment on (Unix time in ms)."""

    lane: int
    since_ms: int


def new_id(prefix: str, where: Where, random: bytes, owner: str | None = None) -> str:
    """An id of `prefix` and 26 letters and digits, 32 where it has an owner. `random`: RANDOM_BYTES that no other id has.

    >>> read_id(new_id("chatcmpl-", Where(3, 1_700_000_000_000), bytes(8)))
    Where(lane=3, since_ms=1700000000000)
    """
    packed = where.lane.to_bytes(_LANE_BYTES, "big") + where.since_ms.to_bytes(_TIME_BYTES, "big") + random
    packed += b"" if owner is None else _mark(packed, owner)
    return prefix + base64.b32encode(packed).rstrip(b"=").decode().lower()


def read_id(text: str) -> Where | None:
    """What an id of a front says; None for any other text."""
    packed = _unpack(text)
    if packed is None:
        return None
    return Where(int.from_bytes(packed[:_LANE_BYTES], "big"), int.from_bytes(packed[2 : 2 + _TIME_BYTES], "big"))


def is_of(text: str, owner: str) -> bool:
    """Whether an id was given to what this owner asked. A guess is right once in four billion times."""
    packed = _unpack(text)
    if packed is None:
        return False
    return hmac.compare_digest(packed[_SIZE:], _mark(packed[:_SIZE], owner))


def _unpack(text: str) -> bytes | None:
    tail = text.replace("_", "-").rpartition("-")[2]
    padding = _TEXT_CHARS.get(len(tail))
    if padding is None or not tail.isascii():
        return None
    try:
        return base64.b32decode(tail.upper().encode() + padding)
    except ValueError:
        return None


def _mark(packed: bytes, owner: str) -> bytes:
    return hmac.digest(owner.encode(), packed, hashlib.sha256)[:OWNER_BYTES]
