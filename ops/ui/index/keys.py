"""Keys of the index, as bytes whose order is the order in which pages want them.

    R place                                    a request's row
    S bucket tag value low-time place          finds it: by class, agent, status, model, error type, dead letter's reason
    I generation hash place                    finds it by its id
    C minute                                   how many requests of this minute there are, by status
    M …                                        positions, generations, version

A bucket is 2^18 ms (4.4 min) of requests' times. It comes before what is looked for, so that all keys of old requests lie
together and are dropped by one range; a search goes through the buckets, the newest first. Strings stand as a hash of 4 bytes:
a key is small, and the row says whether it is the right one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xxhash import xxh3_64_digest, xxh32_digest

from ops.ui.index.row import Row

ROW, SECONDARY, ID, COUNT, META = b"R", b"S", b"I", b"C", b"M"

BUCKET_BITS: Final = 18
MINUTE_BITS: Final = 16
_LOW: Final = (1 << BUCKET_BITS) - 1
_PLACE_BYTES: Final = 8
_LOW_BYTES: Final = 3
SUFFIX_BYTES: Final = _LOW_BYTES + _PLACE_BYTES
MOST_TIME_MS: Final = 253_402_300_000_000
"""The end of the year 9999, as far as dates go; a time beyond is of no clock."""

CLASS, AGENT, STATUS, MODEL, ERROR, REASON = b"c", b"a", b"s", b"m", b"e", b"d"


def row_key(place: int) -> bytes:
    return ROW + place.to_bytes(_PLACE_BYTES, "big")


def place_of_key(key: bytes) -> int:
    """The place at the end of a row's, an id's or a secondary key."""
    return int.from_bytes(key[-_PLACE_BYTES:], "big")


def bucket_of(time_ms: int) -> int:
    return time_ms >> BUCKET_BITS


def bucket_key(bucket: int, tag: bytes = b"", value: bytes = b"") -> bytes:
    """The beginning of keys of a bucket."""
    return SECONDARY + bucket.to_bytes(4, "big") + tag + value


def suffix(time_ms: int, place: int) -> bytes:
    """The end of a secondary key: within a bucket, tag and value it is the order."""
    return (time_ms & _LOW).to_bytes(_LOW_BYTES, "big") + place.to_bytes(_PLACE_BYTES, "big")


def time_of_key(key: bytes) -> int:
    """The request's time that a secondary key says.

    >>> time_of_key(bucket_key(bucket_of(1_700_000_123_456), STATUS, b"x") + suffix(1_700_000_123_456, 7))
    1700000123456
    """
    bucket = int.from_bytes(key[1:5], "big")
    return bucket << BUCKET_BITS | int.from_bytes(key[-SUFFIX_BYTES:-_PLACE_BYTES], "big")


def hashed(text: str) -> bytes:
    """A string as a value of a key."""
    return xxh32_digest(text.encode("utf-8", "replace"))


def steady_keys(row: Row) -> list[bytes]:
    """Keys that stay while the request goes on: by class, agent and model."""
    begin, end = bucket_key(bucket_of(row.time_ms)), suffix(row.time_ms, row.place)
    keys = [begin + CLASS + bytes((row.place >> 62,)) + end]
    if row.agent_id:
        keys.append(begin + AGENT + hashed(row.agent_id) + end)
    if row.model:
        keys.append(begin + MODEL + hashed(row.model) + end)
    return keys


def changing_keys(row: Row) -> list[bytes]:
    """Keys that change with it: by status, error type and the dead letter's reason."""
    begin, end = bucket_key(bucket_of(row.time_ms)), suffix(row.time_ms, row.place)
    keys = [begin + STATUS + bytes((row.status,)) + end]
    if row.error:
        keys.append(begin + ERROR + bytes((row.error,)) + end)
    if row.reason:
        keys.append(begin + REASON + bytes((row.reason,)) + end)
    return keys


def is_dead_letter(key: bytes) -> bool:
    return key[5:6] == REASON


def dead_value(row: Row) -> bytes:
    """What stands under the key of a dead letter: enough to group them without a look at rows."""
    return bytes((row.error, row.stage)) + hashed(row.provider)


def id_key(generation: int, request_id: str, place: int | None = None) -> bytes:
    """The key of an id, or the beginning that all records under this id share."""
    digest = xxh3_64_digest(request_id.encode("utf-8", "replace"))
    begin = ID + generation.to_bytes(4, "big") + digest
    return begin if place is None else begin + place.to_bytes(_PLACE_BYTES, "big")


def minute_of(time_ms: int) -> int:
    """Minutes of 65.5 s, four a bucket."""
    return time_ms >> MINUTE_BITS


def count_key(minute: int) -> bytes:
    return COUNT + minute.to_bytes(5, "big")


def after(prefix: bytes) -> bytes:
    """The first key behind all that begin so.

    >>> after(b"a"), after(b"a\\xff")
    (b'b', b'b')
    """
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def partition_prefixes() -> Iterator[int]:
    """First places of the classes."""
    return (number << 62 for number in range(3))
