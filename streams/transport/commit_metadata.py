"""Finished offsets beyond the committed one, as the short text that a Kafka commit may carry.

A commit says "everything before offset N is finished". What finished ahead of an unfinished record travels in the commit's
metadata as run lengths (unfinished, finished, unfinished, …, counted from N), each a varint; deflated when that is shorter;
base85, because brokers keep metadata as a string. The first character tells `r`aw from `z`ipped. Measured on 20,000 open
records: 95 % finished 1,348 characters, a random half (the worst case) 3,930.

The idea is that of Confluent's parallel-consumer for Java.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

LIMIT_CHARS = 4_000
"""Longest text we write. Brokers refuse more than `offset.metadata.max.bytes`, by default 4,096."""

_RAW, _ZIPPED = "r", "z"
_LARGEST_UNZIPPED_BYTES = 1 << 20  # far above what LIMIT_CHARS of ours can hold; bounds what a foreign text can cost

Run = tuple[int, int]
"""Finished offsets [start, stop)."""


def encode(next_offset: int, runs: Sequence[Run], limit_chars: int = LIMIT_CHARS) -> tuple[str, bool]:
    """Text for the finished `runs` (ascending, disjoint, all at or above `next_offset`), and whether all of them fit.

    When they do not fit, the last runs are left out: those records would be repeated after a crash, none would be lost.
    """
    if not runs:
        return "", True
    keep = len(runs)
    while keep:
        text = _encode_runs(next_offset, runs[:keep])
        if len(text) <= limit_chars:
            return text, keep == len(runs)
        keep = min(keep - 1, int(keep * limit_chars / len(text)))
    return "", False


def decode(next_offset: int, text: str) -> list[Run]:
    """The finished runs that `encode` wrote; nothing for a text that is not ours (another tool may have committed)."""
    try:
        packed = base64.b85decode(text[1:])
        if text[:1] == _ZIPPED:
            packed = zlib.decompressobj().decompress(packed, _LARGEST_UNZIPPED_BYTES)
        elif text[:1] != _RAW:
            return []
    except (ValueError, zlib.error):
        return []
    lengths = list(_varints(packed))
    runs = []
    for unfinished, finished in zip(lengths[::2], lengths[1::2], strict=False):
        start = next_offset + unfinished
        next_offset = start + finished
        runs.append((start, next_offset))
    return runs


def _encode_runs(next_offset: int, runs: Iterable[Run]) -> str:
    raw = bytearray()
    for start, stop in runs:
        _append_varint(raw, start - next_offset)
        _append_varint(raw, stop - start)
        next_offset = stop
    zipped = zlib.compress(raw, 6)
    kind, packed = (_ZIPPED, zipped) if len(zipped) < len(raw) else (_RAW, bytes(raw))
    return kind + base64.b85encode(packed).decode()


def _append_varint(raw: bytearray, number: int) -> None:
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    raw.append(number)


def _varints(packed: bytes) -> Iterable[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 127) << shift
        if byte & 128:
            shift += 7
        else:
            yield number
            number = shift = 0
