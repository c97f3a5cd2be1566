"""Minute windows of costs: written often, read once."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cost_window import MOST_BYTES, MOST_ROWS, OTHERS, CostRow, CostWindow, cost_window_key
from schemas.limits import CONTROL_RECORD_BYTES
from streams.money.sums import OPEN_S, Sum, WindowSums
from streams.money.windows import MOST_MINUTES, CostBook, Names

NOON = 1_767_268_800


def names(agent: str = "a", **more: str) -> Names:
    return Names(**{"tenant": "t", "key": "k", "agent": agent, "model": "m", "provider": "p", **more})


def pay(book: CostBook, now: float, who: Names, pico: int | None = 10) -> None:
    book.paid(now, who, pico=pico, calls=1, estimated=False, prompt_tokens=3, completion_tokens=1)


def record(window: CostWindow) -> tuple[bytes, bytes]:
    return cost_window_key(window.worker_id, int(window.minute.timestamp())), window.to_json()


def total(sums: WindowSums[str]) -> dict[str, int]:
    return {name: each.pico for name, each in sums.rows()}


def by_tenant() -> WindowSums[str]:
    return WindowSums(lambda _minute, row: row.tenant)


def test_a_minute_is_told_again_with_what_came_since_and_counts_once() -> None:
    """https://github.com/BerriAI/litellm/pull/34675: a rollup that is incremented counts what is queued twice, twice."""
    book, sums = CostBook("w"), by_tenant()
    pay(book, NOON + 1, names())
    (first,) = book.take()
    assert list(book.take()) == []
    pay(book, NOON + 50, names())
    (second,) = book.take()
    assert (first.minute, first.seq) == (datetime.fromtimestamp(NOON, UTC), 1)
    for window in (first, second, second, first):  # twice, and an older one late
        sums.note(*record(window), NOON + 60)
    assert total(sums) == {"t": 20}


def test_two_workers_pay_in_the_same_minute() -> None:
    sums = by_tenant()
    for worker in ("w-1", "w-2"):
        book = CostBook(worker)
        pay(book, NOON, names())
        for window in book.take():
            sums.note(*record(window), NOON + 5)
    assert total(sums) == {"t": 20}


def test_names_beyond_those_that_a_minute_tells_apart_are_others_of_their_tenant_and_model() -> None:
    book = CostBook("w")
    for number in range(MOST_ROWS + 40):
        pay(book, NOON, names(f"agent-{number}", tenant=f"t{number % 2}"))
    (window,) = book.take()
    others = [row for row in window.rows if row.agent == OTHERS]
    assert len(window.rows) == MOST_ROWS + 2
    assert [(row.tenant, row.key, row.folded, row.requests) for row in others] == [
        ("t0", OTHERS, 20, 20),
        ("t1", OTHERS, 20, 20),
    ]
    assert sum(row.requests for row in window.rows) == MOST_ROWS + 40


def test_names_of_any_length_and_number_fit_into_a_record() -> None:
    book, rng = CostBook("w"), random.Random(3)
    for number in range(3 * MOST_ROWS):
        long = "\x01" * rng.randint(100, 250)
        pay(book, NOON, names(f"{long}{number}", model=f"{long}{number % 900}"[-256:]))
    (window,) = book.take()
    assert len(window.to_json()) < CONTROL_RECORD_BYTES
    assert len(orjson.dumps(window.rows)) < 2 * MOST_BYTES
    assert sum(row.requests for row in window.rows) == 3 * MOST_ROWS
    assert any(row.tenant == OTHERS for row in window.rows)


def test_what_the_topic_does_not_take_is_told_again_and_given_up_after_an_hour() -> None:
    book = CostBook("w")
    pay(book, NOON, names())
    (window,) = book.take()
    book.again(window)
    assert book.forget(NOON + MOST_MINUTES * 60 + 59) == 0
    (again,) = book.take()
    assert again.rows == window.rows
    assert again.seq > window.seq
    book.again(again)
    assert book.forget(NOON + MOST_MINUTES * 60 + 60) == 10
    assert list(book.take()) == []


def test_a_cost_that_nobody_knows_is_counted_as_unknown() -> None:
    book = CostBook("w")
    pay(book, NOON, names(), None)
    (window,) = book.take()
    assert (window.rows[0].unknown, window.rows[0].cost) == (1, "0")


WINDOW: dict[str, Any] = {"worker_id": "w", "minute": "2026-01-01T12:00:00Z", "seq": 1, "rows": []}


@pytest.mark.parametrize(
    ("key", "value", "written_at"),
    [
        (b"w@0", WINDOW, NOON),
        (b"other@%d" % NOON, WINDOW, NOON),
        (None, WINDOW, NOON),
        (b"w@%d" % NOON, WINDOW, NOON + OPEN_S + 1),
        (b"w@%d" % NOON, WINDOW, NOON - 301),
        (b"w@%d" % (NOON + 1), WINDOW | {"minute": "2026-01-01T12:00:01Z"}, NOON),
        (b"w@%d" % NOON, WINDOW | {"rows": [{"tenant": "t", "cost": "1e9"}]}, NOON),
        (b"w@%d" % NOON, [], NOON),
    ],
)
def test_what_no_worker_writes_counts_for_nothing(key: bytes | None, value: object, written_at: float) -> None:
    sums = by_tenant()
    sums.note(key, orjson.dumps(value), written_at)
    sums.note(b"w@%d" % NOON, None, NOON)
    assert (total(sums), sums.malformed) == ({}, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 10**15)), max_size=60), st.randoms())
def test_any_order_of_repeated_records_sums_to_what_was_paid(
    payments: list[tuple[int, int, int]], rng: random.Random
) -> None:
    """Within the two hours that a minute is open."""
    books = [CostBook(f"w-{number}") for number in range(3)]
    paid: defaultdict[str, int] = defaultdict(int)
    windows: list[CostWindow] = []
    for worker, minute, pico in payments:
        pay(books[worker], NOON + minute % 100 * 60, names(tenant=f"t{minute % 3}"), pico)
        paid[f"t{minute % 3}"] += pico
        if rng.random() < 0.4:
            windows += books[worker].take()
    for book in books:
        windows += book.take()
    windows += rng.choices(windows, k=len(windows)) if windows else []
    rng.shuffle(windows)
    sums = by_tenant()
    for window in windows:
        sums.note(*record(window), NOON + 100 * 60)
    assert total(sums) == dict(paid)
    assert sums.malformed == 0


def test_a_minute_that_is_closed_takes_no_late_record() -> None:
    sums = by_tenant()
    row = CostRow("t", "", "a", "m", "p", 1, 1, "0.5")
    for minute, written, seq in ((0, 10, 1), (OPEN_S // 60 + 60, OPEN_S + 3700, 2), (0, OPEN_S + 3700, 3)):
        at = datetime.fromtimestamp(NOON + minute * 60, UTC)
        window = CostWindow(worker_id="w", minute=at, seq=seq, rows=[row])
        sums.note(*record(window), NOON + written)
    assert (sum(total(sums).values()), sums.malformed) == (10**12, 1)


def test_of_the_same_cost_those_with_more_tokens_come_first() -> None:
    """A model without a price costs 0 in the sums: whoever burns its tokens is not to be the last of a list
    (vivekchand/clawmetry#5979, n-orlov/ralphd#10)."""
    burner, quiet, paid = Sum(prompt_tokens=9, completion_tokens=9_000), Sum(prompt_tokens=10), Sum(pico=1)
    assert sorted((burner, quiet, paid), key=lambda each: each.rank) == [paid, burner, quiet]
