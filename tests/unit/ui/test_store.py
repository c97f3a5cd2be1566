"""The index on disk beside an obvious list: the same requests, in the same order, each once, while others come in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ops.ui.index import codes, letters, queries
from ops.ui.index.budget import Budget
from ops.ui.index.cursor import Cursor
from ops.ui.index.events import Answered, Asked, Died, Event
from ops.ui.index.filters import Filters
from ops.ui.index.merge import merged
from ops.ui.index.row import Row, place_of
from ops.ui.index.store import IndexOpenError, IndexStore
from tests.unit.ui.models import T0

BIG = 2 * 10**9
SPAN_MS = 4 * 2**18
slow = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Opening a store waits for the disk several times."""


@contextmanager
def a_store(keep: int = 10**6) -> Iterator[IndexStore]:
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        store = IndexStore(Path(folder) / "ui", keep=keep, disk_bytes=BIG)
        try:
            yield store
        finally:
            store.close()


agents = st.sampled_from(["a", "b", "agent-7"])
models = st.sampled_from(["small", "large"])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Requests of three classes, most of them answered, some before they were read."""
    events: list[Event] = []
    for number in range(draw(st.integers(0, 30))):
        place = place_of(draw(st.integers(0, 2)), draw(st.integers(0, 2)), number)
        time_ms = T0 + draw(st.integers(0, SPAN_MS))
        asked = Asked(
            place, time_ms, draw(st.sampled_from(["", "same", f"r-{number}"])), draw(agents), draw(models), 100
        )
        status = draw(st.sampled_from([None, 1, 2, 3, 4]))
        if status is None:
            events.append(asked)
            continue
        error = draw(st.integers(1, 12)) if status > 1 else 0
        slow_100us = draw(st.integers(0, 40_000))
        answer = Answered(
            place, time_ms + 30, asked.request_id, asked.agent_id, status, error, 1, 1, 10, 100, slow_100us, 1, 1, 50, 0, number,
            draw(st.sampled_from(["sim", "other"])), "m", "",
        )  # fmt: skip
        events += [answer, asked] if draw(st.booleans()) else [asked, answer]
    return events


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    begin = draw(st.none() | st.integers(T0, T0 + SPAN_MS))
    return Filters(
        status=tuple(draw(st.lists(st.sampled_from(codes.STATUSES), max_size=2, unique=True))),
        priority=tuple(draw(st.lists(st.sampled_from(["high", "normal", "low"]), max_size=2, unique=True))),
        agent=draw(st.sampled_from(["", "a", "agent-7", "nobody"])),
        model=draw(st.sampled_from(["", "small"])),
        provider=draw(st.sampled_from(["", "sim"])),
        error=draw(st.sampled_from(["", "deadline", "internal"])),
        slower_ms=draw(st.sampled_from([None, 0, 1000])),
        from_ms=begin,
        to_ms=None if begin is None else draw(st.none() | st.integers(begin + 1, begin + SPAN_MS)),
    )


def listed(events: Sequence[Event]) -> list[Row]:
    """What the events come to, the newest first: the obvious way."""
    rows: dict[int, Row] = {}
    for event in events:
        rows[event.place] = merged(rows.get(event.place), event)
    return sorted(rows.values(), key=lambda row: (row.time_ms, row.place), reverse=True)


def pages(store: IndexStore, wanted: Filters, on_a_page: int, looks: int = 10**6) -> list[Row]:
    found: list[Row] = []
    below: Cursor | None = None
    while True:
        page = queries.page(store, wanted, below, on_a_page, Budget(looks, 60))
        found += page.rows
        if page.older is None:
            return found
        below = page.older


@slow
@given(
    histories(), st.lists(filters(), min_size=1, max_size=4), st.integers(1, 10), st.integers(1, 4), st.integers(1, 40)
)
def test_pages_hold_what_the_list_holds_in_its_order(
    events: list[Event], wanted: list[Filters], batch: int, on_a_page: int, looks: int
) -> None:
    with a_store() as store:
        for at in range(0, len(events), batch):
            store.apply(events[at : at + batch], {("agent.responses", 0): at})
        rows = listed(events)
        assert store.total == len(rows)
        for each in wanted:
            assert pages(store, each, on_a_page, looks) == [row for row in rows if each.fits(row)]


@slow
@given(histories(), histories(), filters(), st.integers(1, 5))
def test_no_request_is_shown_twice_or_left_out_while_others_come_in(
    before: list[Event], new: list[Event], wanted: Filters, on_a_page: int
) -> None:
    newer = [event._replace(time_ms=event.time_ms + 2 * SPAN_MS, place=event.place | 1 << 40) for event in new]
    with a_store() as store:
        store.apply(before, {})
        expected = [row for row in listed(before) if wanted.fits(row)]
        found: list[Row] = []
        below: Cursor | None = None
        while True:
            page = queries.page(store, wanted, below, on_a_page)
            found += page.rows
            below = page.older
            if below is None:
                break
            store.apply(newer[: len(newer) // 2 + 1], {})
            newer = newer[len(newer) // 2 + 1 :]
        assert found == expected


@slow
@given(histories(), filters())
def test_bars_count_what_the_list_holds(events: list[Event], wanted: Filters) -> None:
    with a_store() as store:
        store.apply(events, {})
        rows = [row for row in listed(events) if wanted.fits(row)]
        minute = 2**16
        begin, end = T0 // minute * minute, T0 + 2 * SPAN_MS
        bars = queries.bars(store, wanted, begin, end)
        if wanted.only_time_and_status():
            rows = [row for row in listed(events) if Filters(status=wanted.status).fits(row)]  # whole minutes
        assert (bars.counted, bars.complete) == (len(rows), True)
        for number, counts in enumerate(bars.counts):
            low = bars.begin_ms + number * bars.width_ms
            assert sum(counts) == sum(low <= row.time_ms < low + bars.width_ms for row in rows)


@pytest.mark.parametrize("wanted", [Filters(), Filters(agent="a"), Filters(status=("waiting",))])
def test_bars_of_a_range_count_nothing_of_before_or_after_it(wanted: Filters) -> None:
    minute = 2**16
    begin = T0 // minute * minute + 10 * minute
    with a_store() as store:
        store.apply([asked(n, begin + (n - 10) * minute) for n in range(20)], {})
        bars = queries.bars(store, wanted, begin, begin + 3 * minute)
        assert [sum(each) for each in bars.counts] == [1, 1, 1]


@slow
@given(histories(), st.integers(1, 8))
def test_an_id_finds_all_its_requests(events: list[Event], batch: int) -> None:
    with a_store() as store:
        for at in range(0, len(events), batch):
            store.apply(events[at : at + batch], {})
        rows = listed(events)
        for request_id in {row.request_id for row in rows} - {""}:
            assert queries.rows_of_id(store, request_id) == [row for row in rows if row.request_id == request_id]
        assert queries.rows_of_id(store, "nobody's") == []


@slow
@given(histories())
def test_the_oldest_that_waits_is_the_oldest_of_the_list(events: list[Event]) -> None:
    with a_store() as store:
        store.apply(events, {})
        for priority in ("high", "normal", "low"):
            waiting = [row for row in listed(events) if row.priority == priority and row.status == codes.WAITING]
            oldest = queries.oldest_waiting(store, priority)
            assert (oldest and oldest.time_ms) == (waiting[-1].time_ms if waiting else None)


def asked(number: int, time_ms: int, partition: int = 0) -> Asked:
    return Asked(place_of(1, partition, number), time_ms, f"r-{number}", "a", "small", 10)


def test_what_is_too_much_is_dropped_from_the_old_end_with_all_its_keys() -> None:
    with a_store(keep=1000) as store:
        for bucket in range(12):
            store.apply([asked(bucket * 200 + n, T0 + bucket * 2**18 + n, n % 4) for n in range(200)], {})
        assert store.total <= 1000
        kept = pages(store, Filters(), 100)
        assert len(kept) == store.total
        assert kept[0].request_id == "r-2399"
        assert pages(store, Filters(agent="a"), 100) == kept
        assert queries.rows_of_id(store, "r-0") == []
        assert queries.row_at(store, place_of(1, 0, 0)) is None
        assert sum(1 for _ in store._items(b"R")) == store.total


def test_a_restart_goes_on_from_its_positions_and_counts_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "ui"
    store = IndexStore(path, keep=10**6, disk_bytes=BIG)
    store.apply([asked(1, T0), asked(2, T0 + 1)], {("agent.requests.normal", 0): 3})
    store.close()
    again = IndexStore(path, keep=10**6, disk_bytes=BIG)
    try:
        assert (again.total, again.positions()) == (2, {("agent.requests.normal", 0): 3})
        again.apply([asked(2, T0 + 1)], {("agent.requests.normal", 0): 3})
        assert again.total == 2
        assert queries.bars(again, Filters(), T0, T0 + 10).counted == 2
    finally:
        again.close()


def test_an_index_has_one_owner(tmp_path: Path) -> None:
    store = IndexStore(tmp_path / "ui", keep=10**6, disk_bytes=BIG)
    try:
        with pytest.raises(IndexOpenError, match=r"ui\.path"):
            IndexStore(tmp_path / "ui", keep=10**6, disk_bytes=BIG)
    finally:
        store.close()


def test_an_index_of_another_version_or_in_pieces_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ui"
    for harm in ("version", "damage"):
        store = IndexStore(path, keep=10**6, disk_bytes=BIG)
        store.apply([asked(1, T0)], {("agent.requests.normal", 0): 2})
        if harm == "version":
            store.db[b"Mversion"] = b"0"
        store.close()
        if harm == "damage":
            (path / "CURRENT").write_bytes(b"nonsense")
        again = IndexStore(path, keep=10**6, disk_bytes=BIG)
        assert (again.total, again.positions()) == (0, {}), harm
        again.close()


@example(looks=1)
@given(st.integers(1, 30))
@settings(max_examples=5)
def test_a_page_looks_at_no_more_than_it_may_and_says_where_it_stopped(looks: int) -> None:
    with a_store() as store:
        store.apply([asked(n, T0 + n) for n in range(40)], {})
        page = queries.page(store, Filters(slower_ms=1), None, 10, Budget(looks, 60))
        assert (list(page.rows), page.looked_at) == ([], looks)
        assert page.older is not None


@pytest.mark.parametrize("on_a_page", [1, 2, 5, 10, 11])
def test_requests_of_one_millisecond_are_all_shown_and_no_last_page_is_empty(on_a_page: int) -> None:
    """leapmux/leapmux#287: a cursor of a time alone leaves out what shares it; #302: a full page is no sign of more."""
    with a_store() as store:
        store.apply([asked(n, T0, n % 3) for n in range(10)], {})
        found: list[Row] = []
        below: Cursor | None = None
        while True:
            page = queries.page(store, Filters(), below, on_a_page)
            assert page.rows
            found += page.rows
            below = page.older
            if below is None:
                break
        assert len({row.place for row in found}) == len(found) == 10


def test_dead_letters_are_grouped_and_counted_without_a_look_at_each() -> None:
    def letter(number: int, error: int) -> Died:
        return Died(place_of(1, 0, number), T0 + number + 9, T0 + number, "a", 2, error, 4, 3, 0, number)

    with a_store() as store:
        store.apply([asked(n, T0 + n) for n in range(30)], {})
        store.apply([letter(n, 7 if n % 3 else 8) for n in range(30)], {})
        groups, complete = letters.dead_groups(store)
        assert complete
        assert [(each.reason, each.error, each.stage, each.count) for each in groups] == [
            ("exhausted", "provider_error", "providers", 20),
            ("exhausted", "provider_timeout", "providers", 10),
        ]
        assert groups[0].example.time_ms == T0 + 29
        assert letters.dead_groups(store, T0 + 1, looks=5)[1] is False


def test_an_agents_rows_are_forgotten_and_nobody_elses() -> None:
    with a_store() as store:
        events: list[Event] = [
            Asked(place_of(1, 0, n), T0 + n, f"r-{n}", "gone" if n % 2 else "stays", "small", 100) for n in range(10)
        ]
        store.apply(events, {("t", 0): 10})
        assert store.forget(lambda agent, _: agent == "gone", T0 + 8) == 4
        assert store.forget(lambda agent, _: agent == "gone", T0 + 8) == 0
        left = queries.page(store, Filters(), None, 100)
        assert sorted(row.request_id for row in left.rows) == ["r-0", "r-2", "r-4", "r-6", "r-8", "r-9"]
        assert not any(b"gone" in value and b"r-1" in value for _, value in store._items(b""))


def test_the_oldest_of_a_class_is_found_behind_any_number_of_anothers() -> None:
    """Two thousand looks at another class, and the page said that none waited; of 194,681 jobs two figures contradicted
    each other (Parallels/rq-dashboard#396).
    """
    with a_store() as store:
        low = [Asked(place_of(2, 0, number), T0 + number, f"low-{number}", "a", "small", 10) for number in range(3_000)]
        store.apply([*low, Asked(place_of(0, 0, 0), T0 + 5_000, "urgent", "a", "small", 10)], {})
        found = queries.oldest_waiting(store, "high")
        assert found is not None
        assert found.request_id == "urgent"
        assert queries.oldest_waiting(store, "normal") is None
        page = queries.page(store, Filters(status=("waiting",), priority=("high",)), None, 10)
        assert ([row.request_id for row in page.rows], page.looked_at) == (["urgent"], 1)


def test_a_search_that_finds_nothing_ends_and_goes_on_where_it_was() -> None:
    """Weeks of few requests are thousands of buckets; a filter that fits nothing walked through all of them."""
    many = queries.MOST_BUCKETS + 50
    with a_store() as store:
        each_ms = 2**18
        store.apply(
            [
                Asked(place_of(1, 0, n), T0 + n * each_ms, f"r-{n}", "a" if n else "oldest", "small", 10)
                for n in range(many)
            ],
            {},
        )
        first = queries.page(store, Filters(agent="oldest"), None, 10)
        assert (list(first.rows), first.older is not None) == ([], True)
        second = queries.page(store, Filters(agent="oldest"), first.older, 10)
        assert ([row.request_id for row in second.rows], second.older) == (["r-0"], None)
