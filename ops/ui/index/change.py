"""What a batch of events changes: rows, keys that come and go, counts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

from ops.ui.index import codes
from ops.ui.index.events import Event
from ops.ui.index.keys import changing_keys, dead_value, is_dead_letter, minute_of, steady_keys
from ops.ui.index.merge import merged
from ops.ui.index.row import Row


@dataclass(slots=True)
class Change:
    """The keys are secondary ones, with their values."""

    rows: list[Row] = field(default_factory=list)
    put: list[tuple[bytes, bytes]] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    named: list[Row] = field(default_factory=list)
    """Rows whose ids are new."""
    counts: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * len(codes.STATUSES)))
    """By minute: how many more there are of each status."""
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
        _add(change, before[place], row)
    return change


def _add(change: Change, old: Row | None, row: Row) -> None:
    if row == old:
        return
    change.rows.append(row)
    if row.request_id and (old is None or old.request_id != row.request_id):
        change.named.append(row)
    if old is None:
        put, gone = steady_keys(row) + changing_keys(row), []
        change.added += 1
    else:
        moved = old.time_ms != row.time_ms or old.agent_id != row.agent_id or old.model != row.model
        now, was = changing_keys(row), changing_keys(old)
        if moved:
            now, was = now + steady_keys(row), was + steady_keys(old)
        put, gone = [key for key in now if key not in was], [key for key in was if key not in now]
        if row.reason and dead_value(row) != dead_value(old):
            put += [key for key in now if is_dead_letter(key) and key not in put]
        counted = change.counts[minute_of(old.time_ms)]
        counted[_status(old)] -= 1
    value = dead_value(row) if row.reason else b""
    change.put += [(key, value if is_dead_letter(key) else b"") for key in put]
    change.deleted += gone
    change.counts[minute_of(row.time_ms)][_status(row)] += 1


def _status(row: Row) -> int:
    """Where a status is counted; one that this version does not know counts as an error."""
    return row.status if row.status < len(codes.STATUSES) else codes.ERROR
