"""Counts that are kept while records come in, beside an obvious list; and pages whose time is up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ops.ui.index import codes, letters, queries
from ops.ui.index.budget import Budget
from ops.ui.index.change import Change, _add
from ops.ui.index.cursor import Cursor
from ops.ui.index.events import Asked, Died, Event
from ops.ui.index.filters import Filters
from ops.ui.index.row import Row, place_of
from ops.ui.index.store import IndexStore
from ops.ui.index.tallies import MOST_KINDS
from tests.unit.ui.models import T0
from tests.unit.ui.test_store import BIG, SPAN_MS, a_store, histories, listed, slow

Kinds = Counter[tuple[str, str, str, str]]


def kinds_of(rows: list[Row]) -> Kinds:
    return Counter(
        (
            codes.word_of(codes.REASONS, row.reason),
            codes.word_of(codes.ERRORS, row.error),
            codes.word_of(codes.STAGES, row.stage),
            row.provider,
        )
        for row in rows
        if row.reason
    )


def counted(store: IndexStore, from_ms: int | None = None) -> Kinds:
    groups, complete = letters.dead_groups(store, from_ms)
    assert complete
    return Counter({(each.reason, each.error, each.stage, each.provider): each.count for each in groups})


def waiting(rows: list[Row]) -> dict[int, int]:
    return dict(sorted(Counter(row.partition for row in rows if row.status == codes.WAITING).items()))


@slow
@given(histories(), st.integers(1, 7), st.integers(0, SPAN_MS))
def test_tallies_are_what_a_list_counts_however_the_records_came(
    events: list[Event], batch: int, since_ms: int
) -> None:
    with a_store() as store:
        for first in range(0, len(events), batch):
            store.apply(events[first : first + batch], {})
        rows = listed(events)
        assert queries.waiting_by_partition(store) == waiting(rows)
        assert counted(store) == kinds_of(rows)
        late = [row for row in rows if row.time_ms >= T0 + since_ms]
        assert counted(store, T0 + since_ms) == kinds_of(late)
        for agent in ("a", "b"):
            bars = queries.bars(store, Filters(agent=agent), T0, T0 + SPAN_MS + 1)
            of_agent = [row for row in rows if row.agent_id == agent and T0 <= row.time_ms <= T0 + SPAN_MS]
            assert [sum(each) for each in zip(*bars.counts, strict=True)] == [
                sum(row.status == status for row in of_agent) for status in range(len(codes.STATUSES))
            ]


def test_a_restart_and_what_is_dropped_leave_the_tallies_of_what_is_kept(tmp_path: Path) -> None:
    def asked(number: int, bucket: int) -> Asked:
        return Asked(place_of(1, number % 3, number), T0 + bucket * 2**18, f"r-{number}", "a", "small", 10)

    def letter(number: int, bucket: int) -> Died:
        return Died(
            place_of(1, number % 3, number), T0 + bucket * 2**18 + 9, T0 + bucket * 2**18, "a", 2, 7, 4, 3, 0, number
        )

    store = IndexStore(tmp_path / "ui", keep=100, disk_bytes=BIG)
    for bucket in range(6):
        numbers = range(bucket * 40, bucket * 40 + 40)
        store.apply([asked(number, bucket) for number in numbers], {})
        store.apply([letter(number, bucket) for number in numbers if number % 2], {})
    store.close()
    again = IndexStore(tmp_path / "ui", keep=100, disk_bytes=BIG)
    try:
        assert again.total == 80
        assert sum(queries.waiting_by_partition(again).values()) == 40
        assert sum(counted(again).values()) == 40
        again.forget(lambda agent, _: agent == "a", T0 + 10**9)
        assert (queries.waiting_by_partition(again), counted(again)) == ({}, Counter())
    finally:
        again.close()


def test_names_without_end_of_strangers_providers_are_counted_together() -> None:
    with a_store() as store:
        change = [
            Row(place_of(1, 0, n), T0, f"r-{n}", "a", "small", reason=2, provider=f"p-{n}")
            for n in range(MOST_KINDS + 50)
        ]
        made = Change()
        for row in change:
            _add(made, None, row)
        store._write(made, {})
        (kinds,) = store.tallies.letters.values()
        assert len(kinds) == MOST_KINDS + 1
        assert sum(each.count for each in kinds.values()) == MOST_KINDS + 50


def test_a_page_whose_time_is_up_says_where_it_stopped_and_the_next_one_goes_on() -> None:
    """A history of 20,000 events loaded whole (temporalio/ui#2704): how much is looked at is bounded, and so is how long."""
    with a_store() as store:
        store.apply([Asked(place_of(1, 0, n), T0 + n * 1000, f"r-{n}", "a", "small", 10) for n in range(950)], {})
        found: list[Row] = []
        below: Cursor | None = None
        pages = 0
        while True:
            page = queries.page(store, Filters(model="small"), below, 1_000, Budget(seconds=0))
            found += page.rows
            pages += 1
            assert page.looked_at <= 100
            if page.older is None:
                break
            below = page.older
        assert [row.request_id for row in found] == [f"r-{n}" for n in reversed(range(950))]
        assert pages >= 10
        bars = queries.bars(store, Filters(model="small"), T0, T0 + 950_000, budget=Budget(seconds=0))
        assert (bars.complete, bars.counted) == (False, 100)
