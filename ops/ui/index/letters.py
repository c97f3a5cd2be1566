"""Dead letters by what they have in common: from counts of whole buckets, and by looking where a range begins within one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from ops.ui.index import codes, keys
from ops.ui.index.row import Row, decode_row
from ops.ui.index.store import IndexStore
from ops.ui.index.tallies import Tally

MOST_KEYS: Final = 10_000
"""Letters of the one bucket in which a range begins."""
_MOST_GROUPS: Final = 200
_TRIES: Final = 20
"""Buckets in which a row is looked for that is still of a group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters that are alike. Words as in codes; `example` is the newest of them that is known."""

    reason: str
    error: str
    stage: str
    provider: str
    tenant: str
    count: int
    example: Row


def dead_groups(
    store: IndexStore, from_ms: int | None = None, tenant: int | None = None, looks: int = MOST_KEYS
) -> tuple[list[Group], bool]:
    """Dead letters by reason, error, stage, provider and tenant, the most frequent first; and whether all of them were counted.

    `tenant`: a tenant's number, whose letters alone are counted; 0: those of none.
    """
    first = keys.bucket_of(from_ms or 0)
    held = {bucket: kinds.copy() for bucket, kinds in store.tallies.letters.copy().items() if bucket > first}
    complete = True
    if first in store.tallies.letters:
        held[first], complete = _of_a_part(store, first, from_ms or 0, looks)
    numbers: Counter[bytes] = Counter()
    for kinds in held.values():
        for kind, tally in kinds.items():
            if tally.count > 0 and tenant in (None, kind[1]):
                numbers[kind] += tally.count
    newest_first = sorted(held, reverse=True)
    groups = []
    for kind, count in numbers.most_common(_MOST_GROUPS):
        tallies = (
            held[bucket][kind] for bucket in newest_first if kind in held[bucket] and held[bucket][kind].count > 0
        )
        row = next((row for tally in islice(tallies, _TRIES) if (row := _example(store, kind, tally))), None)
        if row is not None:
            reason, error, stage = (
                codes.word_of(words, number)
                for words, number in ((codes.REASONS, kind[0]), (codes.ERRORS, kind[2]), (codes.STAGES, kind[3]))
            )
            groups.append(Group(reason, error, stage, row.provider, row.tenant, count, row))
    return groups, complete


def _of_a_part(store: IndexStore, bucket: int, from_ms: int, looks: int) -> tuple[dict[bytes, Tally], bool]:
    """The letters of one bucket from a time on, by looking at their keys."""
    found: dict[bytes, Tally] = {}
    looked_at = 0
    for key, kind in islice(_keys(store, bucket), looks):
        looked_at += 1
        time_ms, place = keys.time_of_key(key), keys.place_of_key(key)
        if time_ms >= from_ms:
            tally = found.setdefault(kind, Tally(0, 0, 0))
            tally.count += 1
            tally.time_ms, tally.place = max((tally.time_ms, tally.place), (time_ms, place))
    return found, looked_at < looks


def _keys(store: IndexStore, bucket: int) -> Iterator[tuple[bytes, bytes]]:
    prefix = keys.bucket_key(bucket, keys.REASON)
    walker: Any = store.db.iter()
    walker.seek(prefix)
    while walker.valid() and (key := walker.key()).startswith(prefix):
        yield key, walker.value()
        walker.next()


def _example(store: IndexStore, kind: bytes, tally: Tally) -> Row | None:
    """The newest of a kind in a bucket; another one where that has become of another kind, or was forgotten."""
    value = store.db.get(keys.row_key(tally.place))
    row = None if value is None else decode_row(tally.place, value)
    if row is not None and row.reason == kind[0] and keys.dead_kind(row)[:4] == kind[:4]:
        return row
    for key, found in islice(_keys(store, keys.bucket_of(tally.time_ms)), MOST_KEYS):
        if found == kind:
            value = store.db.get(keys.row_key(place := keys.place_of_key(key)))
            return None if value is None else decode_row(place, value)
    return None
