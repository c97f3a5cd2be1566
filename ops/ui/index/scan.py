"""Secondary keys of a search with their values, newest first, through several values at a time. Pure but for the iterators given.

A bucket after the other; in each the values' keys are merged by their ends, which are times and places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Protocol

from ops.ui.index.cursor import Cursor
from ops.ui.index.filters import Driver
from ops.ui.index.keys import SUFFIX_BYTES, after, bucket_key, bucket_of, suffix

Entry = tuple[bytes, bytes]
"""A key and what stands under it."""


class Walker(Protocol):
    """An iterator of RocksDB's."""

    def seek_for_prev(self, key: bytes) -> None: ...
    def seek(self, key: bytes) -> None: ...
    def prev(self) -> None: ...
    def next(self) -> None: ...
    def valid(self) -> bool: ...
    def key(self) -> bytes: ...
    def value(self) -> bytes: ...


def entries_downwards(
    walker_of: Callable[[bytes], Walker],
    driver: Driver,
    buckets: Iterable[int],
    *,
    below: Cursor | None = None,
    to_ms: int | None = None,
    from_ms: int | None = None,
) -> Iterator[Entry]:
    """Keys of `driver`, the newest first: behind the cursor `below`, and of times from `from_ms` to before `to_ms`.

    `walker_of` gives an iterator for keys of a value. `buckets` are those that have requests, descending.
    """
    end = _lower(below, Cursor(to_ms, 0) if to_ms is not None else None)
    begin_ms = from_ms or 0
    each_with: list[tuple[bytes, Walker]] = [(value, walker_of(value)) for value in driver.values]
    for bucket in buckets:
        if end is not None and bucket > bucket_of(end.time_ms):
            continue
        if bucket < bucket_of(begin_ms):
            return
        streams = [
            _down(walker, bucket_key(bucket, driver.tag, value), bucket, begin_ms, end) for value, walker in each_with
        ]
        yield from streams[0] if len(streams) == 1 else merge(*streams, key=_end_of, reverse=True)


def keys_upwards(walker: Walker, tag: bytes, value: bytes, buckets: Iterable[int]) -> Iterator[bytes]:
    """Keys of these buckets, the oldest first. `buckets` ascending."""
    for bucket in buckets:
        prefix = bucket_key(bucket, tag, value)
        walker.seek(prefix)
        while walker.valid() and (key := walker.key()).startswith(prefix):
            yield key
            walker.next()


def _down(walker: Walker, prefix: bytes, bucket: int, begin_ms: int, end: Cursor | None) -> Iterator[Entry]:
    least = prefix + suffix(begin_ms, 0) if bucket_of(begin_ms) == bucket else prefix
    if end is not None and bucket_of(end.time_ms) == bucket:
        behind = prefix + suffix(end.time_ms, end.place)
        walker.seek_for_prev(behind)
        if walker.valid() and walker.key() == behind:
            walker.prev()
    else:
        walker.seek_for_prev(after(prefix))  # which is no key of ours: a key is longer
    while walker.valid() and least <= (key := walker.key()) and key.startswith(prefix):
        yield key, walker.value()
        walker.prev()


def _end_of(entry: Entry) -> bytes:
    return entry[0][-SUFFIX_BYTES:]


def _lower(one: Cursor | None, other: Cursor | None) -> Cursor | None:
    return min((each for each in (one, other) if each is not None), default=None)
