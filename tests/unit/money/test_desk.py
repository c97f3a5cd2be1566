"""A worker's desk at the ledger: two of them over one log, without a broker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from schemas.budget import BudgetRule, LedgerMessage, LedgerRules, Period, Scope
from streams.actions.audit import AdminView
from streams.actions.outcomes import mark_of
from streams.actions.wire import Noted
from streams.metrics import definitions as metrics
from streams.money.alerts import Mark, crossed, tell
from streams.money.books import Settled
from streams.money.budgets import Budgets, Purse, Refused
from streams.money.desk import Desk
from streams.money.rules import Payer

ACCOUNT = ("agent/*/day", "a")
RULE = BudgetRule("agent", "*", "day", 100, True)


@dataclass
class Log:
    desks: list[Desk] = field(default_factory=list)
    length: int = 0
    at: float = 1000 * 86_400.0

    def desk(self, name: str) -> Desk:
        desk = Desk(name, wake=lambda: None)
        self.desks.append(desk)
        desk.ready.set()
        return desk

    def write(self, message: LedgerMessage) -> None:
        for desk in self.desks:
            desk.read(self.length, self.at, message)
        self.length += 1

    async def turn(self) -> None:
        """Everybody says what is due, until nobody has anything to say."""
        for _ in range(20):
            await asyncio.sleep(0)
            for desk in self.desks:
                if desk.due:
                    self.write(desk.entry())


@pytest.fixture
def log() -> Log:
    return Log()


def purse(desk: Desk, agent: str = "a") -> Purse:
    found = Budgets(desk).purse(Payer(agent))
    assert found is not None
    return found


async def cover(each: Purse, most: int | None, log: Log, left_s: float = 5.0) -> Refused | None:
    covering = asyncio.ensure_future(each.cover(most, "m", left_s, lambda: None))
    await log.turn()
    return await covering


def two_desks(log: Log, *rules: BudgetRule) -> tuple[Desk, Desk]:
    desks = log.desk("w1"), log.desk("w2")
    log.write(LedgerRules(worker_id="w1", rules=list(rules or (RULE,))))
    return desks


async def test_of_two_workers_that_want_all_of_a_budget_one_waits_until_the_other_has_settled(log: Log) -> None:
    one, other = map(purse, two_desks(log))
    assert await cover(one, 80, log) is None
    waiting = asyncio.ensure_future(other.cover(60, "m", 5.0, lambda: None))
    await log.turn()
    assert not waiting.done()
    one.settle(30)
    await log.turn()
    assert await waiting is None


async def test_a_call_that_cannot_be_paid_is_refused_at_once_and_told_when_it_can(log: Log) -> None:
    one, _ = map(purse, two_desks(log))
    assert await cover(one, 80, log) is None
    one.settle(80)
    await log.turn()
    refused = await cover(one, 30, log)
    assert refused is not None
    assert not refused.later
    assert "agent/*/day of a" in refused.message
    assert "begins again at 1972-09-28T00:00:00Z" in refused.message


async def test_who_waits_in_vain_may_come_again(log: Log) -> None:
    one, other = map(purse, two_desks(log))
    assert await cover(one, 80, log) is None
    refused = await cover(other, 60, log, left_s=0.05)
    assert refused is not None
    assert refused.later


async def test_what_was_set_aside_for_a_caller_that_has_gone_comes_back(log: Log) -> None:
    desk, other = two_desks(log)
    covering = asyncio.ensure_future(purse(desk).cover(80, "m", 5.0, lambda: None))
    await asyncio.sleep(0)
    entry = desk.entry()
    covering.cancel()
    await asyncio.gather(covering, return_exceptions=True)
    log.write(entry)
    await log.turn()
    assert other.books.view(("agent/*/day", "a")).open == 0


async def test_a_dearer_attempt_sets_more_aside_and_a_cheaper_one_keeps_what_it_has(log: Log) -> None:
    desk, _ = two_desks(log)
    each = purse(desk)
    assert await cover(each, 40, log) is None
    assert await cover(each, 30, log) is None
    assert desk.books.view(("agent/*/day", "a")).open == 40
    assert await cover(each, 90, log) is None
    assert desk.books.view(("agent/*/day", "a")).open == 90


async def test_without_a_price_a_hard_budget_takes_no_call_and_a_soft_one_does(log: Log) -> None:
    hard, _ = map(purse, two_desks(log))
    refused = await cover(hard, None, log)
    assert refused is not None
    assert "no price is known of the model 'm'" in refused.message
    log.write(LedgerRules(worker_id="w1", rules=[BudgetRule("agent", "*", "day", 100, False)]))
    assert await cover(hard, None, log) is None


async def test_without_its_ledger_no_call_is_made(log: Log) -> None:
    """https://github.com/BerriAI/litellm/issues/33923: a reservation that could not be written let the call pass."""
    desk, _ = two_desks(log)
    desk.ready.clear()
    refused = await cover(purse(desk), 1, log, left_s=0.05)
    assert refused is not None
    assert refused.later


async def test_who_is_in_no_budget_needs_no_purse(log: Log) -> None:
    desk, _ = two_desks(log, BudgetRule("agent", "team-*", "day", 1, True))
    assert Budgets(desk).purse(Payer("a")) is None


@pytest.mark.parametrize("scope", ["key", "tenant", "agent"])
@pytest.mark.parametrize(
    ("period", "words"),
    [
        ("day", "begins again at 1972-09-28T00:00:00Z"),
        ("month", "begins again at 1972-10-01T00:00:00Z"),
        ("total", "it does not begin again"),
    ],
)
async def test_a_refusal_says_which_budget_and_when_it_begins_again(
    log: Log, scope: Scope, period: Period, words: str
) -> None:
    desk, _ = two_desks(log, BudgetRule(scope, "x*", period, 100, True))
    payer = Payer(agent="x1", tenant="x2", key="x3")
    found = Budgets(desk).purse(payer)
    assert found is not None
    refused = await cover(found, 101, log)
    assert refused is not None
    assert f"the budget {scope}/x*/{period} of {payer.name(scope)} has no room" in refused.message
    assert words in refused.message
    assert not refused.later


def test_a_mark_is_told_by_the_worker_that_spent_the_money_once_a_period(log: Log) -> None:
    """https://github.com/BerriAI/litellm/issues/3738: an alert on each request beyond the threshold."""
    told: list[Mark] = []
    before = metrics.BUDGET_ALERTS.labels("agent/*/day", "50%")._value.get()
    for settled, amount in (
        (Settled(ACCOUNT, 0, 60, 7), 100),
        (Settled(ACCOUNT, 60, 99, 7), 100),
        (Settled(ACCOUNT, 0, 60, 8), 100),
    ):
        tell(settled, amount, [0.5, 0.8, 1.0], told.append)
    assert [(mark.share, mark.since) for mark in told] == [("50%", 7), ("80%", 7), ("50%", 8)]
    assert len({mark.id for mark in told}) == 3
    assert metrics.BUDGET_ALERTS.labels("agent/*/day", "50%")._value.get() == before + 2
    view = AdminView()
    for mark in (*told, told[0]):
        view.note(Noted(mark_of(mark), 1.0, 0))
    assert [(entry.action.action, entry.state) for entry in view.newest(9)] == [("budget_mark", "told")] * 3


def test_a_share_is_told_of_once() -> None:
    steps = [0, 30, 50, 50, 79, 100, 130]
    told = [crossed(a, b, 100, [0.5, 0.8, 1.0]) for a, b in pairwise(steps)]
    assert told == [[], [0.5], [], [], [0.8, 1.0], []]
