"""Keys of the index, as bytes whose order is the order in which pages want them.

    R place                                    a request's row
    S bucket tag value low-time place          finds it: by class, agent, status, model, error, tenant, dead letter's reason
    I generation hash place                    finds it by its id
    C minute                                   how many requests of this minute there are, by status
    D bucket kind                              how many dead letters of this kind there are in a bucket, and the newest of them
    M …                                        positions, generations, version

A bucket is 2^18 ms (4.4 min) of requests' times. It comes before what is looked for, so that all keys of old requests lie
together and are dropped by one range; a search goes through the buckets, the newest first. Strings stand as a hash of 4 bytes:
a key is small, and the row says whether it is the right one.

What waits has its S keys in a column family of its own, `WAITING_FAMILY`: they come and go with each request, and what was
deleted there stands in nobody's way elsewhere. What was answered well, nearly all, has no key by status: it is found by its
class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from xxhash import xxh3_64_digest, xxh32_digest

from ops.ui.index import codes
from ops.ui.index.row import Row, tenant_number_of

ROW, SECONDARY, ID, COUNT, DEAD, META = b"R", b"S", b"I", b"C", b"D", b"M"
WAITING_FAMILY: Final = "waiting"

BUCKET_BITS: Final = 18
MINUTE_BITS: Final = 16
_LOW: Final = (1 << BUCKET_BITS) - 1
_PLACE_BYTES: Final = 8
_LOW_BYTES: Final = 3
SUFFIX_BYTES: Final = _LOW_BYTES + _PLACE_BYTES
_ID_HASH_BYTES: Final = 5
"""Of 10 million ids one in 100,000 shares its hash with another; the row says which it is."""
MOST_TIME_MS: Final = 253_402_300_000_000
"""The end of the year 9999, as far as dates go; a time beyond is of no clock."""

CLASS, AGENT, STATUS, MODEL, ERROR, REASON, TENANT = b"c", b"a", b"s", b"m", b"e", b"d", b"t"


def row_key(place: int) -> bytes:
    return ROW + place.to_bytes(_PLACE_BYTES, "big")


def place_of_key(key: bytes) -> int:
    """The place at the end of a row's, an id's or a secondary key."""
    return int.from_bytes(key[-_PLACE_BYTES:], "big")


def bucket_of(time_ms: int) -> int:
    return time_ms >> BUCKET_BITS


def bucket_key(bucket: int, tag: bytes = b"", value: bytes = b"") -> bytes:
    """The beginning of keys of a bucket."""
    return b"S%b%b%b" % (bucket.to_bytes(4, "big"), tag, value)


def suffix(time_ms: int, place: int) -> bytes:
    """The end of a secondary key: within a bucket, tag and value it is the order."""
    return ((time_ms & _LOW) << 64 | place).to_bytes(SUFFIX_BYTES, "big")


def time_of_key(key: bytes) -> int:
    """The request's time that a secondary key says.

    >>> time_of_key(bucket_key(bucket_of(1_700_000_123_456), STATUS, b"x") + suffix(1_700_000_123_456, 7))
    1700000123456
    """
    bucket = int.from_bytes(key[1:5], "big")
    return bucket << BUCKET_BITS | int.from_bytes(key[-SUFFIX_BYTES:-_PLACE_BYTES], "big")


@lru_cache(maxsize=4096)
def hashed(text: str) -> bytes:
    """A string as a value of a key. Agents, models and providers are named again and again."""
    return xxh32_digest(text.encode("utf-8", "replace"))


def steady_keys(row: Row) -> list[bytes]:
    """Keys that stay, with nothing under them, while the request goes on: by class and model."""
    begin, end = bucket_key(bucket_of(row.time_ms)), suffix(row.time_ms, row.place)
    keys = [begin + CLASS + bytes((row.place >> 62,)) + end]
    if row.model:
        keys.append(begin + MODEL + hashed(row.model) + end)
    return keys


def status_value(status: int, class_number: int) -> bytes:
    """A status and a class are looked for together: the oldest that waits of one class, behind any number of another's."""
    return bytes((status, class_number))


def changing_keys(row: Row) -> dict[bytes, bytes]:
    """Keys that come and go with it, or whose values do: by agent and tenant, with its status, so that they are counted without a
    look at rows; by status, error type and the dead letter's reason.
    """
    begin, end = bucket_key(bucket_of(row.time_ms)), suffix(row.time_ms, row.place)
    keys: dict[bytes, bytes] = {}
    if row.agent_id:
        keys[begin + AGENT + hashed(row.agent_id) + end] = bytes((row.status,))
    if row.tenant:
        keys[begin + TENANT + hashed(row.tenant) + end] = bytes((row.status,))
    if row.status not in (codes.OK, codes.WAITING):
        keys[begin + STATUS + status_value(row.status, row.place >> 62) + end] = b""
    if row.error:
        keys[begin + ERROR + bytes((row.error,)) + end] = b""
    if row.reason:
        keys[begin + REASON + bytes((row.reason,)) + end] = dead_kind(row)
    return keys


def waiting_key(row: Row) -> bytes:
    """The key in WAITING_FAMILY of a request while it has no answer."""
    value = status_value(codes.WAITING, row.place >> 62)
    return bucket_key(bucket_of(row.time_ms), STATUS, value) + suffix(row.time_ms, row.place)


def dead_kind(row: Row) -> bytes:
    """By what dead letters are grouped: reason, tenant's number, error, stage, provider."""
    return bytes((row.reason, tenant_number_of(row.place), row.error, row.stage)) + hashed(row.provider)


def dead_key(bucket: int, kind: bytes = b"") -> bytes:
    return DEAD + bucket.to_bytes(4, "big") + kind


def id_key(generation: int, request_id: str, place: int | None = None) -> bytes:
    """The key of an id, or the beginning that all records under this id share."""
    digest = xxh3_64_digest(request_id.encode("utf-8", "replace"))[:_ID_HASH_BYTES]
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
