"""The index at a size: what pages look at and what they cost stays the same, whatever it holds.

Bars are seconds of this thread's own CPU, five times above what was measured, and counts: a busy machine changes neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.bench.index import disk_bytes, fill, questions
from ops.ui.index import letters, queries
from ops.ui.index.budget import MOST_LOOKS, Budget
from ops.ui.index.filters import Filters
from ops.ui.index.store import IndexStore
from tests.support.fixtures import FULL

PAGE_S, ID_S = 0.2, 0.05


def cpu_s(ask: Callable[[], Any]) -> float:
    """The least of three: the first one may read files."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        ask()
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.parametrize("requests", [30_000, pytest.param(1_000_000 if FULL else 100_000, marks=pytest.mark.long)])
@pytest.mark.timeout(1800)
def test_pages_cost_the_same_however_many_requests_there_are(requests: int, tmp_path: Path) -> None:
    """Dashboards that died: of 250,000 finished jobs (akodkod/solid-queue-dashboard#2), of 194,681 failed ones
    (Parallels/rq-dashboard#396), of a million tasks (mher/flower#1192).
    """
    store = IndexStore(tmp_path / "ui", keep=10_000_000, disk_bytes=2 * 10**9)
    try:
        filled = fill(store, requests)
        assert store.total == requests
        assert disk_bytes(store) <= 200 * requests + 64 * 2**20, "10 million in 2 GB, and a log that is not full"
        for name, ask in questions(store, filled).items():
            assert cpu_s(ask) <= (ID_S if "id" in name else PAGE_S), name
        nothing = queries.page(store, Filters(slower_ms=10**6), None, 50, Budget(seconds=60))
        assert (len(nothing.rows), nothing.looked_at) == (0, MOST_LOOKS)
        groups, complete = letters.dead_groups(store)
        assert (sum(each.count for each in groups), complete) == (-(-requests // 50), True)
        oldest = queries.oldest_waiting(store, "normal")
        assert oldest is not None
        assert oldest.time_ms == min(
            row.time_ms
            for row in queries.page(store, Filters(status=("waiting",), priority=("normal",)), None, 10**6).rows
        )
        before = store.positions()
    finally:
        store.close()
    again = IndexStore(tmp_path / "ui", keep=10_000_000, disk_bytes=2 * 10**9)
    try:
        assert (again.total, again.positions()) == (requests, before), "a restart reads nothing again"
    finally:
        again.close()
