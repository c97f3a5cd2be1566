"""What a batch of events changes: rows, keys that come and go, counts. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

from ops.ui.index import codes
from ops.ui.index.events import Event
from ops.ui.index.keys import bucket_of, changing_keys, dead_kind, minute_of, steady_keys, waiting_key
from ops.ui.index.merge import merged
from ops.ui.index.row import PARTITION_BITS, Row


@dataclass(slots=True)
class Letters:
    """How many more dead letters of one kind there are in a bucket; `newest`: time and place of the newest of those that came."""

    more: int = 0
    newest: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Change:
    """The keys are secondary ones, with their values."""

    rows: list[Row] = field(default_factory=list)
    put: list[tuple[bytes, bytes]] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    wait: list[bytes] = field(default_factory=list)
    """Keys of what waits, of the family of its own."""
    wait_no_more: list[bytes] = field(default_factory=list)
    named: list[Row] = field(default_factory=list)
    """Rows whose ids are new."""
    counts: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * len(codes.STATUSES)))
    """By minute: how many more there are of each status."""
    waiting: Counter[int] = field(default_factory=Counter)
    """By class, tenant and partition, the beginning of places: how many more wait."""
    letters: dict[tuple[int, bytes], Letters] = field(default_factory=lambda: defaultdict(Letters))
    """By bucket and kind."""
    added: int = 0
    """Requests that were not there before."""


def change_of(events: Iterable[Event], before: Mapping[int, Row | None]) -> Change:
    """What the events change, in their order. `before` has the row of every place that they name, None where there is none."""
    after: MutableMapping[int, Row] = {}
    for event in events:
        place = event.place
        after[place] = merged(after.get(place) or before[place], event)
    change = Change()
    for place, row in after.items():
        old = before[place]
        if row != old:
            _add(change, old, row)
    return change


def without(rows: Iterable[Row]) -> Change:
    """What goes with these rows but the rows themselves, their ids and the counts by minute."""
    change = Change()
    for row in rows:
        change.deleted += [*steady_keys(row), *changing_keys(row)]
        _note_waiting(change, row, None)
        _note_letter(change, row, -1)
    return change


def _add(change: Change, old: Row | None, row: Row) -> None:
    change.rows.append(row)
    if row.request_id and (old is None or old.request_id != row.request_id):
        change.named.append(row)
    now = changing_keys(row)
    if old is None:
        change.put += [*((key, b"") for key in steady_keys(row)), *now.items()]
        change.added += 1
    else:
        was = changing_keys(old)
        if old.time_ms != row.time_ms or old.model != row.model:
            was |= dict.fromkeys(steady_keys(old), b"")
            now |= dict.fromkeys(steady_keys(row), b"")
        change.put += [(key, value) for key, value in now.items() if was.get(key) != value]
        change.deleted += [key for key in was if key not in now]
        change.counts[minute_of(old.time_ms)][_status(old)] -= 1
        _note_letter(change, old, -1)
    change.counts[minute_of(row.time_ms)][_status(row)] += 1
    _note_letter(change, row, 1)
    _note_waiting(change, old, row)


def _note_waiting(change: Change, old: Row | None, row: Row | None) -> None:
    did = old is not None and old.status == codes.WAITING
    does = row is not None and row.status == codes.WAITING
    if did and does and old and row and old.time_ms == row.time_ms:
        return
    if did and old:
        change.wait_no_more.append(waiting_key(old))
        change.waiting[old.place >> PARTITION_BITS] -= 1
    if does and row:
        change.wait.append(waiting_key(row))
        change.waiting[row.place >> PARTITION_BITS] += 1


def _note_letter(change: Change, row: Row, more: int) -> None:
    if row.reason:
        letters = change.letters[bucket_of(row.time_ms), dead_kind(row)]
        letters.more += more
        if more > 0:
            letters.newest = max(letters.newest, (row.time_ms, row.place))


def _status(row: Row) -> int:
    """Where a status is counted; one that this version does not know counts as an error."""
    return row.status if row.status < len(codes.STATUSES) else codes.ERROR
