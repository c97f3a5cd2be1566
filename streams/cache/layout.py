"""How values and positions lie in the store: what is torn or foreign is known and never served.

A value is a version byte, a checksum, the expiry in milliseconds, then the entry. The checksum (xxh64) covers the key too, so
that a value under another key does not pass.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from xxhash import xxh64_intdigest

VERSION: Final = 1
_HEAD: Final = struct.Struct(">BQQ")
_COVERED_FROM: Final = 9  # behind version and checksum

_OFFSET: Final = struct.Struct(">Q")

MAX_KEY_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """A value out of the store. `expires_at` is Unix time in seconds."""

    value: bytes
    expires_at: float


def pack(key: bytes, value: bytes, expires_at: float) -> bytes:
    """The bytes that the store keeps. Costs 1 µs and a copy."""
    expires_at_ms = max(0, round(expires_at * 1000))
    checksum = xxh64_intdigest(b"%b%b%b" % (key, expires_at_ms.to_bytes(8, "big"), value))
    return _HEAD.pack(VERSION, checksum, expires_at_ms) + value


def unpack(key: bytes, raw: bytes) -> Stored | None:
    """What was packed under this key; None for anything else."""
    if len(raw) < _HEAD.size or raw[0] != VERSION:
        return None
    _, checksum, expires_at_ms = _HEAD.unpack_from(raw)
    if xxh64_intdigest(key + raw[_COVERED_FROM:]) != checksum:
        return None
    return Stored(raw[_HEAD.size :], expires_at_ms / 1000)


Positions = dict[tuple[str, int], int]
"""Next offset to read, by topic and partition."""


def pack_position(topic: str, partition: int, next_offset: int) -> tuple[bytes, bytes]:
    """A position as key and value."""
    return f"{topic}:{partition}".encode(), _OFFSET.pack(next_offset)


def unpack_position(key: bytes, value: bytes) -> tuple[tuple[str, int], int]:
    """Raises ValueError for what is no position."""
    topic, _, partition = key.decode().rpartition(":")
    try:
        return (topic, int(partition)), _OFFSET.unpack(value)[0]
    except struct.error as error:
        raise ValueError(f"no position: {value!r}") from error
