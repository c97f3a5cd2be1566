"""How long a tenant's rows stay in the index: no longer than what they are about stays on the tenant's topics.

A row is of a request and its answer, and stays as long as the one of them that is kept longer; one of a dead letter as long
as that, too, because pages send it again. A tenant that sets nothing of it has its rows until the index is full.

Rows are found by their places: those of a tenant's partition lie together, the oldest first, so that a sweep reads what it
deletes and one row more for each partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from ops.ui.index.keys import ROW, place_of_key, row_key
from ops.ui.index.places import Places
from ops.ui.index.row import PARTITION_BITS, Row, decode_row, tenant_ranges
from ops.ui.index.store import IndexStore
from streams.settings import Settings

log = structlog.get_logger("headrace.ui")

SWEEP_EVERY_S: Final = 60.0
MOST_ROWS: Final = 20_000
"""Of one sweep; what is left goes with the next."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Milliseconds for which a tenant's rows stay."""

    usual_ms: int
    dead_ms: int
    """Of one with a dead letter."""


def kept_by_tenant(settings: Settings) -> Mapping[str, Kept]:
    """Of the tenants that set a retention of requests, answers or dead letters."""
    of_topic = {spec.name: int(spec.config.get("retention.ms", -1)) for spec in settings.catalogue()}
    found = {}
    for name, tenant in settings.tenants.items():
        given, topics = tenant.retention, settings.topics.names.tenants[name]
        if (given.requests, given.answers, given.dead_letters) == (None, None, None):
            continue
        usual = [of_topic[topic] for topic in (*topics.topic_of.values(), topics.responses)]
        dead = [*usual, of_topic[topics.dead_letters]]
        if min(usual) >= 0:  # -1: for good
            found[name] = Kept(max(usual), max(dead) if min(dead) >= 0 else 2**62)
    return found


class RetentionSweeper:
    """Drops rows that are too old, once a minute. `now_ms`: Unix time."""

    def __init__(self, store: IndexStore, places: Places, kept: Mapping[str, Kept]) -> None:
        self._store = store
        self._kept = {places.number_of(name): each for name, each in kept.items() if name in places.tenants}

    def sweep(self, now_ms: int) -> int:
        """How many rows are gone. Synchronous: called in a thread."""
        gone = 0
        for tenant_number, kept in self._kept.items():
            usual, dead = now_ms - kept.usual_ms, now_ms - kept.dead_ms
            rows = _rows_before(self._store, tenant_number, max(usual, dead))
            old = (row for row in rows if row.time_ms < (dead if row.reason else usual))
            gone += self._store.delete(old, MOST_ROWS - gone)
        return gone

    async def run(self) -> None:
        """Until cancelled; returns at once where no tenant asks for it."""
        while self._kept:
            gone = await asyncio.to_thread(self.sweep, round(time.time() * 1000))
            if gone:
                log.info("rows of tenants are older than their retention and were deleted", requests=gone)
            await asyncio.sleep(0.0 if gone >= MOST_ROWS else SWEEP_EVERY_S)


def _rows_before(store: IndexStore, tenant_number: int, until_ms: int) -> Iterator[Row]:
    """Of each partition of the tenant's the rows before the first that came at `until_ms` or later. Times rise along a log."""
    walker: Any = store.db.iter()
    for begin, behind in tenant_ranges(tenant_number):
        at = begin
        while at < behind:
            walker.seek(row_key(at))
            while walker.valid() and walker.key().startswith(ROW) and (at := place_of_key(walker.key())) < behind:
                row = decode_row(at, walker.value())
                if row.time_ms >= until_ms:
                    at = (at >> PARTITION_BITS) + 1 << PARTITION_BITS
                    break
                yield row
                walker.next()
            else:
                break
