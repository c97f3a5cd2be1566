"""What pages ask of the index. Each is bounded: by what it shows, and by how much it looks at. Synchronous, for a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ops.ui.index import codes, keys, meta
from ops.ui.index.cursor import Cursor
from ops.ui.index.filters import Filters, driver_of
from ops.ui.index.row import Row, decode_row
from ops.ui.index.scan import keys_downwards, keys_upwards
from ops.ui.index.store import IndexStore
from topics.names import PRIORITIES, Priority

MOST_LOOKS: Final = 2_000
"""Rows that a page looks at: 30 to 60 ms on a quiet core (`headrace bench index`, "finds nothing")."""
MOST_KEYS: Final = 50_000
"""Keys that a count looks at: about as long."""
_MOST_FOUND: Final = 50
_ROWS_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Requests, the newest first. `older`: where the next page begins; None: there is nothing more.

    `looked_at` rows were read; a page may be short, or empty, and have a next one all the same.
    """

    rows: Sequence[Row]
    older: Cursor | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Requests by time. `counts[i]` is of [begin_ms + i * width_ms, + width_ms), by status in the order of codes.STATUSES.

    `complete`: False where there were too many to count; then only the newest `counted` are in it.
    """

    begin_ms: int
    width_ms: int
    counts: Sequence[Sequence[int]]
    counted: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters that are alike. Words as in codes; `example` is the newest of them."""

    reason: str
    error: str
    stage: str
    provider: str
    count: int
    example: Row


def page(store: IndexStore, filters: Filters, below: Cursor | None, most: int, looks: int = MOST_LOOKS) -> Page:
    """The newest `most` that fit behind `below`. `filters` without `since`."""
    found = _fitting(store, filters, below, looks)
    rows: list[Row] = []
    looked_at, last, shown = 0, below, below
    for cursor, row in found:
        looked_at += 1
        last = cursor
        if row is not None:
            if len(rows) == most:  # there is one more: a next page is not empty
                return Page(rows, shown, looked_at)
            rows.append(row)
            shown = cursor
    return Page(rows, last if looked_at >= looks else None, looked_at)


def _fitting(
    store: IndexStore, filters: Filters, below: Cursor | None, looks: int
) -> Iterator[tuple[Cursor, Row | None]]:
    """Each key that is looked at, with its row where that fits. A request is met once: by one key of the driver's tag."""
    driver = driver_of(filters)
    found = islice(
        keys_downwards(store.db.iter, driver, store.buckets, below=below, from_ms=filters.from_ms, to_ms=filters.to_ms),
        looks,
    )
    while batch := list(islice(found, _ROWS_AT_ONCE)):
        places = [keys.place_of_key(key) for key in batch]
        values: Any = store.db.get([keys.row_key(place) for place in places])
        for key, place, value in zip(batch, places, values, strict=True):
            row = None if value is None else decode_row(place, value)
            time_ms = keys.time_of_key(key)
            # A row may have changed since its key was read, or have been dropped: then it does not fit here.
            fits = row is not None and row.time_ms == time_ms and filters.fits(row)
            yield Cursor(time_ms, place), row if fits else None


def row_at(store: IndexStore, place: int) -> Row | None:
    """The row of a place."""
    value = store.db.get(keys.row_key(place))
    return None if value is None else decode_row(place, value)


def rows_of_id(store: IndexStore, request_id: str) -> list[Row]:
    """Requests with this id, the newest first; ids are their senders', and need not be unique. 50 at most."""
    found: list[Row] = []
    for generation in store.generations():
        prefix = keys.id_key(generation, request_id)
        walker = store.db.iter()
        walker.seek(prefix)
        while walker.valid() and (key := walker.key()).startswith(prefix) and len(found) < _MOST_FOUND:
            row = row_at(store, keys.place_of_key(key))
            if row is not None and row.request_id == request_id and row not in found:
                found.append(row)
            walker.next()
    return sorted(found, key=lambda row: row.time_ms, reverse=True)


def oldest_waiting(store: IndexStore, priority: Priority, looks: int = MOST_LOOKS) -> Row | None:
    """The oldest request of a class that has no answer yet."""
    upwards = keys_upwards(store.db.iter(), keys.STATUS, bytes((codes.WAITING,)), reversed(store.buckets))
    wanted = PRIORITIES.index(priority)
    for key in islice(upwards, looks):
        place = keys.place_of_key(key)
        if place >> 62 == wanted and (row := row_at(store, place)) is not None and row.status == codes.WAITING:
            return row
    return None


def bars(store: IndexStore, filters: Filters, begin_ms: int, end_ms: int, most_bars: int = 120) -> Bars:
    """Requests that fit, by time, within [begin_ms, end_ms), in at most `most_bars` of whole minutes of the index."""
    minute_ms = 1 << keys.MINUTE_BITS
    first, last = keys.minute_of(begin_ms), keys.minute_of(max(begin_ms, end_ms - 1))
    minutes_each = -(-(last - first + 1) // most_bars)
    number = -(-(last - first + 1) // minutes_each)
    counts = [[0] * len(codes.STATUSES) for _ in range(number)]
    shown = {number for number, word in enumerate(codes.STATUSES) if not filters.status or word in filters.status}
    counted, complete = 0, True
    if filters.only_time_and_status():
        walker: Any = store.db.iter()
        walker.seek(keys.count_key(first))
        while walker.valid() and (key := walker.key()) <= keys.count_key(last):
            bar = counts[(int.from_bytes(key[1:], "big") - first) // minutes_each]
            for status, count in enumerate(meta.decode_counts(walker.value())):
                if status in shown:
                    bar[status] += count
                    counted += count
            walker.next()
    else:
        looked_at = 0
        within = replace(
            filters, from_ms=max(begin_ms, filters.from_ms or 0), to_ms=min(end_ms, filters.to_ms or end_ms)
        )
        for cursor, row in _fitting(store, within, None, MOST_LOOKS):
            looked_at += 1
            if row is not None:
                counts[(keys.minute_of(cursor.time_ms) - first) // minutes_each][min(row.status, codes.DEAD)] += 1
                counted += 1
        complete = looked_at < MOST_LOOKS
    return Bars(first * minute_ms, minutes_each * minute_ms, counts, counted, complete)


def dead_groups(store: IndexStore, from_ms: int | None = None, looks: int = MOST_KEYS) -> tuple[list[Group], bool]:
    """Dead letters by reason, error, stage and provider, the most frequent first; and whether all of them were counted."""
    numbers: Counter[bytes] = Counter()
    newest: dict[bytes, bytes] = {}
    looked_at = 0
    for reason in (*range(1, len(codes.REASONS)), codes.OTHER):
        walker: Any = store.db.iter()
        for key, value in _dead_keys(walker, bytes((reason,)), store.buckets, from_ms or 0):
            kind = bytes((reason,)) + value
            numbers[kind] += 1
            newest.setdefault(kind, key)
            looked_at += 1
            if looked_at >= looks:
                break
    groups = []
    for kind, count in numbers.most_common(200):
        row = row_at(store, keys.place_of_key(newest[kind]))
        if row is not None:
            reason_word, error, stage = (
                codes.word_of(words, number)
                for words, number in ((codes.REASONS, kind[0]), (codes.ERRORS, kind[1]), (codes.STAGES, kind[2]))
            )
            groups.append(Group(reason_word, error, stage, row.provider, count, row))
    return groups, looked_at < looks


def _dead_keys(walker: Any, reason: bytes, buckets: Sequence[int], from_ms: int) -> Iterator[tuple[bytes, bytes]]:
    for bucket in buckets:
        if bucket < keys.bucket_of(from_ms):
            return
        prefix = keys.bucket_key(bucket, keys.REASON, reason)
        walker.seek_for_prev(keys.after(prefix))
        while walker.valid() and (key := walker.key()).startswith(prefix):
            if keys.time_of_key(key) < from_ms:
                break
            yield key, walker.value()
            walker.prev()
