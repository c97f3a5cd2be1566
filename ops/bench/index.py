"""The control room's index by itself: requests a second into it on a core, and what pages and look-ups take at its size."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.bench.index_pages import ask_pages
from ops.bench.index_records import Records
from ops.ui.index import letters, queries
from ops.ui.index.events import read_event
from ops.ui.index.filters import Filters
from ops.ui.index.places import Places
from ops.ui.index.store import IndexStore
from topics.names import V1

_BATCH: Final = 1_000
_END_MS: Final = 1_780_000_000_000
_A_SECOND: Final = 1_000
_TELL_EVERY: Final = 1_000_000
_DISK: Final = 2 * 10**9
_TRIES: Final = 5
_PLACES: Final = Places(V1)


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of filling an index: the seconds of CPU and of the clock that it took; the id of its newest request; the times of
    its oldest request and behind its newest.
    """

    requests: int
    cpu_s: float
    wall_s: float
    newest_id: str
    begin_ms: int
    end_ms: int


def fill(
    store: IndexStore,
    requests: int,
    *,
    end_ms: int = _END_MS,
    a_second: int = _A_SECOND,
    tell: Callable[[Filled], None] = lambda _: None,
) -> Filled:
    """Records of so many requests, their answers and dead letters, into an index. Making them is not in the times. `tell` is
    called after each million.
    """
    cpu_s = wall_s = 0.0
    begin_ms = end_ms - requests * 1000 // a_second
    records = Records(begin_ms, 1000 / a_second)
    filled = Filled(0, 0, 0, "", begin_ms, end_ms)
    for first in range(0, requests, _BATCH):
        asked, answered = records.make(first, min(requests, first + _BATCH))
        began, cpu = time.perf_counter(), time.process_time()
        for made in (asked, answered):
            events = [event for each in made if (event := read_event(_PLACES, *each)) is not None]
            store.apply(events, {(V1.responses, 0): first})
        cpu_s, wall_s = cpu_s + time.process_time() - cpu, wall_s + time.perf_counter() - began
        done = min(requests, first + _BATCH)
        filled = Filled(done, cpu_s, wall_s, records.newest_id, begin_ms, end_ms)
        if done % _TELL_EVERY == 0:
            tell(filled)
    return filled


def questions(store: IndexStore, filled: Filled) -> dict[str, Callable[[], Any]]:
    """What pages ask of an index that was filled, by name."""
    return {
        "newest page": lambda: queries.page(store, Filters(), None, 50),
        "page of an agent": lambda: queries.page(store, Filters(agent="agent-7"), None, 50),
        "page of an error": lambda: queries.page(store, Filters(error="provider_error"), None, 50),
        "page that finds nothing": lambda: queries.page(store, Filters(slower_ms=10**6), None, 50),
        "find by id": lambda: queries.rows_of_id(store, filled.newest_id),
        "find no id": lambda: queries.rows_of_id(store, "nobody's"),
        "bars of all": lambda: queries.bars(store, Filters(), filled.begin_ms, filled.end_ms),
        "bars of an agent": lambda: queries.bars(store, Filters(agent="agent-7"), filled.begin_ms, filled.end_ms),
        "bars of a model": lambda: queries.bars(store, Filters(model="large"), filled.begin_ms, filled.end_ms),
        "the oldest that waits": lambda: queries.oldest_waiting(store, "normal"),
        "what waits": lambda: queries.page(store, Filters(status=("waiting",)), None, 50),
        "what waits by partition": lambda: queries.waiting_by_partition(store),
        "dead letters by group": lambda: letters.dead_groups(store),
        "dead letters of a part": lambda: letters.dead_groups(store, (filled.begin_ms + filled.end_ms) // 2),
    }


def disk_bytes(store: IndexStore) -> int:
    """What its files take."""
    return sum(each.stat().st_blocks * 512 for each in store.path.iterdir())


def run_index(requests: int, folder: Path) -> Iterator[str]:
    """Fill an index in `folder` and ask it, and the pages over it; a line for each figure."""
    store = IndexStore(folder / "ui", keep=10_000_000, disk_bytes=_DISK)
    try:
        filled = fill(store, requests)
        rates = f"{requests / filled.cpu_s:,.0f}/s of CPU, {requests / filled.wall_s:,.0f}/s by the clock"
        yield f"{requests:,} requests and answers: {rates}"
        yield f"{disk_bytes(store) / requests:,.0f} bytes of disk a request, {_resident_mb():,.0f} MB resident"
        for name, ask in questions(store, filled).items():
            took = sorted(_timed(ask) for _ in range(_TRIES))
            yield f"{name}: {took[_TRIES // 2] * 1000:.1f} ms, at most {took[-1] * 1000:.1f} ms"
        for asked in asyncio.run(ask_pages(store, filled.newest_id, filled.end_ms / 1000)):
            yield f"page: {asked}"
        yield f"{_resident_mb():,.0f} MB resident"
    finally:
        store.close()
    began = time.perf_counter()
    again = IndexStore(folder / "ui", keep=10_000_000, disk_bytes=_DISK)
    took_s, total = time.perf_counter() - began, again.total
    again.close()
    yield f"opened again with its {total:,} requests: {took_s * 1000:.0f} ms"


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began
