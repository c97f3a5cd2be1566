"""What pages ask of the index. Each is bounded: by what it shows, by how much it looks at, and by time, because a look costs what
the disk and the machine make of it. Synchronous, for a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ops.ui.index import codes, keys, meta
from ops.ui.index.budget import Budget
from ops.ui.index.cursor import Cursor
from ops.ui.index.filters import Filters, driver_of
from ops.ui.index.row import MOST_PARTITIONS, Row, decode_row
from ops.ui.index.scan import Entry, Walker, entries_downwards, keys_upwards
from ops.ui.index.store import IndexStore
from topics.names import PRIORITIES, Priority

MOST_KEYS: Final = 50_000
"""Keys that a count looks at."""
MOST_BUCKETS: Final = 1_000
"""Buckets of time that a page goes through: at ten requests a second 10 million are 4,000 buckets, and a search that finds
nothing would go through all of them.
"""
_MOST_FOUND: Final = 50
_ROWS_AT_ONCE: Final = 100
_KEYS_AT_ONCE: Final = 1_000
_MINUTES_A_BUCKET: Final = 1 << keys.BUCKET_BITS - keys.MINUTE_BITS


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


def page(store: IndexStore, filters: Filters, below: Cursor | None, most: int, budget: Budget | None = None) -> Page:
    """The newest `most` that fit behind `below`. `filters` without `since`."""
    search = _Search(store, filters, below, budget or Budget())
    rows: list[Row] = []
    looked_at, shown = 0, below
    for cursor, row in search:
        looked_at += 1
        if row is not None:
            if len(rows) == most:  # there is one more: a next page is not empty
                return Page(rows, shown, looked_at)
            rows.append(row)
            shown = cursor
    return Page(rows, search.left_at, looked_at)


class _Search:
    """Each key that is looked at, with its row where that fits. A request is met once: by one key of the driver's tag.

    `left_at`: where it ended because its budget was spent, or MOST_BUCKETS of time gone through; None: it went through all.
    """

    def __init__(self, store: IndexStore, filters: Filters, below: Cursor | None, budget: Budget) -> None:
        self._store, self._filters, self._below, self._budget = store, filters, below, budget
        self.driver = driver_of(filters)
        buckets = store.buckets
        if self.driver.tag == keys.STATUS:
            buckets = store.tallies.buckets_with({value[0] for value in self.driver.values})
        # The last millisecond that counts: a cursor without a place stands at the beginning of a bucket that was gone through.
        until_ms = below.time_ms - (below.place == 0) if below else keys.MOST_TIME_MS
        until_ms = min(until_ms, (filters.to_ms or keys.MOST_TIME_MS + 1) - 1)
        first, last = keys.bucket_of(filters.from_ms or 0), keys.bucket_of(max(0, until_ms))
        within = [bucket for bucket in buckets if first <= bucket <= last]
        self._buckets = within[: MOST_BUCKETS // max(1, len(self.driver.values))]
        self._rest = len(within) - len(self._buckets)
        self.left_at: Cursor | None = None

    def __iter__(self) -> Iterator[tuple[Cursor, Row | None]]:
        store, filters, budget = self._store, self._filters, self._budget
        walked = islice(self._entries(), budget.looks)
        looked_at = 0
        while batch := list(islice(walked, _ROWS_AT_ONCE)):
            places = [keys.place_of_key(key) for key, _ in batch]
            values: Any = store.db.get([keys.row_key(place) for place in places])
            for (key, _), place, value in zip(batch, places, values, strict=True):
                row = None if value is None else decode_row(place, value)
                time_ms = keys.time_of_key(key)
                # A row may have changed since its key was read, or have been dropped: then it does not fit here.
                fits = row is not None and row.time_ms == time_ms and filters.fits(row)
                looked_at += 1
                yield Cursor(time_ms, place), row if fits else None
            if looked_at >= budget.looks or budget.is_spent():
                self.left_at = _behind(batch[-1])
                return

    def _entries(self) -> Iterator[Entry]:
        filters = self._filters
        return entries_downwards(
            self._walker, self.driver, self._in_time(), below=self._below, from_ms=filters.from_ms, to_ms=filters.to_ms
        )

    def found(self) -> Iterator[tuple[int, int]]:
        """Minute and status of each that fits."""
        for cursor, row in self:
            if row is not None:
                yield keys.minute_of(cursor.time_ms), min(row.status, codes.DEAD)

    def statuses(self) -> Iterator[tuple[int, int]]:
        """The same by the values of keys, where they tell all of it: a look at a key costs a twentieth of one at a row."""
        walked = islice(self._entries(), MOST_KEYS)
        looked_at = 0
        while batch := list(islice(walked, _KEYS_AT_ONCE)):
            for key, value in batch:
                yield keys.minute_of(keys.time_of_key(key)), min(value[0] if value else 0, codes.DEAD)
            looked_at += len(batch)
            if looked_at >= MOST_KEYS or self._budget.is_spent():
                self.left_at = _behind(batch[-1])
                return

    def _in_time(self) -> Iterator[int]:
        """Its buckets while there is time; the first one always."""
        for number, bucket in enumerate(self._buckets):
            if number and self._budget.is_spent():
                self.left_at = Cursor(bucket + 1 << keys.BUCKET_BITS, 0)
                return
            yield bucket
        if self._rest:
            self.left_at = Cursor(self._buckets[-1] << keys.BUCKET_BITS, 0)

    def _walker(self, value: bytes) -> Walker:
        waits = self.driver.tag == keys.STATUS and value[0] == codes.WAITING
        walker: Walker = (self._store.waiting_db if waits else self._store.db).iter()
        return walker


def _behind(entry: Entry) -> Cursor:
    return Cursor(keys.time_of_key(entry[0]), keys.place_of_key(entry[0]))


def row_at(store: IndexStore, place: int) -> Row | None:
    """The row of a place."""
    value = store.db.get(keys.row_key(place))
    return None if value is None else decode_row(place, value)


def rows_of_id(store: IndexStore, request_id: str) -> list[Row]:
    """Requests with this id, the newest first; ids are their senders', and need not be unique. 50 at most."""
    found: list[Row] = []
    walker = store.db.iter()
    for generation in store.generations():
        prefix = keys.id_key(generation, request_id)
        walker.seek(prefix)
        while walker.valid() and (key := walker.key()).startswith(prefix) and len(found) < _MOST_FOUND:
            row = row_at(store, keys.place_of_key(key))
            if row is not None and row.request_id == request_id and row not in found:
                found.append(row)
            walker.next()
    return sorted(found, key=lambda row: (row.time_ms, row.place), reverse=True)


def oldest_waiting(store: IndexStore, priority: Priority, looks: int = _KEYS_AT_ONCE) -> Row | None:
    """The oldest request of a class that has no answer yet."""
    value = keys.status_value(codes.WAITING, PRIORITIES.index(priority))
    buckets = reversed(store.tallies.buckets_with([codes.WAITING]))
    for key in islice(keys_upwards(store.waiting_db.iter(), keys.STATUS, value, buckets), looks):
        row = row_at(store, keys.place_of_key(key))
        if row is not None and row.status == codes.WAITING:
            return row
    return None


def waiting_by_partition(store: IndexStore) -> dict[int, int]:
    """Requests without an answer by their partition's number, over all classes and tenants."""
    found: Counter[int] = Counter()
    for prefix, number in store.tallies.waiting.copy().items():
        if number > 0:
            found[prefix & MOST_PARTITIONS - 1] += number
    return dict(sorted(found.items()))


def bars(
    store: IndexStore,
    filters: Filters,
    begin_ms: int,
    end_ms: int,
    most_bars: int = 120,
    budget: Budget | None = None,
) -> Bars:
    """Requests that fit, by time, within [begin_ms, end_ms), in at most `most_bars` of whole minutes of the index; of whole
    buckets where it is many days.
    """
    minute_ms = 1 << keys.MINUTE_BITS
    first, last = keys.minute_of(begin_ms), keys.minute_of(max(begin_ms, end_ms - 1))
    minutes_each = -(-(last - first + 1) // most_bars)
    by_bucket = filters.only_time_and_status() and minutes_each >= _MINUTES_A_BUCKET
    if by_bucket:
        minutes_each = -(-minutes_each // _MINUTES_A_BUCKET) * _MINUTES_A_BUCKET
        first -= first % _MINUTES_A_BUCKET
    number = -(-(last - first + 1) // minutes_each)
    counts = [[0] * len(codes.STATUSES) for _ in range(number)]
    shown = {number for number, word in enumerate(codes.STATUSES) if not filters.status or word in filters.status}
    counted, complete = 0, True
    if by_bucket:
        for bucket, held in store.tallies.by_status.copy().items():
            minute = bucket * _MINUTES_A_BUCKET
            if first <= minute <= last:
                bar = counts[(minute - first) // minutes_each]
                for status in shown:
                    bar[status] += max(0, held[status])
                    counted += max(0, held[status])
    elif filters.only_time_and_status():
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
        within = replace(
            filters, from_ms=max(begin_ms, filters.from_ms or 0), to_ms=min(end_ms, filters.to_ms or end_ms)
        )
        search = _Search(store, within, None, budget or Budget())
        for minute, status in search.statuses() if search.driver.tells_status else search.found():
            if status in shown:
                counts[(minute - first) // minutes_each][status] += 1
                counted += 1
        complete = search.left_at is None
    return Bars(first * minute_ms, minutes_each * minute_ms, counts, counted, complete)
