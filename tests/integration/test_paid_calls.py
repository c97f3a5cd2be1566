"""Real calls under a budget, without a broker: the ledger is one log in this process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from schemas.budget import BudgetRule, LedgerRules
from streams.money.books import Account
from streams.money.budgets import Budgets
from streams.money.desk import Desk
from streams.pipeline import Outcome
from streams.providers.build import open_providers
from streams.settings import Settings
from tests.integration.fault_rig import RETRY, UNLIMITED, asking, call_all, endpoints
from tests.integration.provider_rig import Rig
from tests.support.scripted_upstream import Reply, Upstream, completion, upstream

PRICE = {"model": "*", "input": "100", "output": "500"}
USED = completion() | {"usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}}
COST = 10 * 100 * 10**6 + 4 * 500 * 10**6


async def called(replies: Upstream, amount: int, count: int, **price: Any) -> tuple[list[Outcome], Account]:
    """What became of so many calls at once under a budget, and the budget's account in the end."""
    table = {"name": "p", "endpoints": endpoints(replies), "rate_limit": UNLIMITED, "retry": RETRY}
    settings = Settings.model_validate({"providers": [table], "prices": [PRICE | price], "costs": {"library": "none"}})
    desk, offset = Desk("w", wake=lambda: None), 0

    async def log() -> None:
        nonlocal offset
        while True:
            await asyncio.sleep(0.002)
            if desk.due:
                await asyncio.sleep(0.002)  # a broker takes that at least, also of what has come just now
                offset += 1
                desk.read(offset, 1e9, desk.entry())

    desk.read(0, 1e9, LedgerRules(worker_id="w", rules=[BudgetRule("agent", "*", "total", amount, True)]))
    desk.ready.set()
    writing = asyncio.create_task(log())
    async with AsyncExitStack() as stack:
        rig = Rig(await open_providers(settings, stack, money=Budgets(desk)))
        outcomes = await call_all(rig, count, count, lambda number: asking(max_tokens=4))
        rig.assert_everything_is_back()
        while desk.due:  # noqa: ASYNC110 - the log's turn
            await asyncio.sleep(0.002)
    writing.cancel()
    return outcomes, desk.books.view(("agent/*/total", "a"))


async def test_a_budget_is_spent_to_what_the_next_call_may_cost_and_nothing_stays_set_aside() -> None:
    async with upstream(Reply(200, USED)) as found:
        outcomes, account = await called(found, 20 * COST, 40)
    paid = [each for each in outcomes if each.status == "ok"]
    assert account == Account(0, len(paid) * COST, 0)
    assert sum(each.spent.pico or 0 for each in outcomes) == account.spent
    refused = [each.error for each in outcomes if each.error is not None]
    assert {(error.type, error.retryable) for error in refused} == {("budget_exceeded", False)}
    assert 0 < len(paid) < 20


async def test_a_failed_attempt_gives_back_what_it_had_set_aside() -> None:
    async with upstream(Reply(500, {"error": {"message": "ill"}})) as found:
        (outcome,), account = await called(found, 20 * COST, 1)
    assert outcome.status == "error"
    assert (account.spent, account.open) == (0, 0)
    assert outcome.spent.pico == 0


async def test_what_a_call_waited_for_its_budget_is_in_its_trace() -> None:
    async with upstream(Reply(500, {"error": {"message": "ill"}})) as found:
        (outcome,), _ = await called(found, 20 * COST, 1)
    assert outcome.call is not None
    assert len(outcome.call.tries) == outcome.attempts
    assert 0.001 < outcome.call.waits["budget", ""] < 1.0


async def test_an_answer_that_nobody_can_use_counts_as_the_most_that_it_may_have_cost() -> None:
    async with upstream(Reply(200, b"[]")) as found:
        (outcome,), account = await called(found, 100 * COST, 1)
    assert outcome.spent.estimated
    assert account == Account(0, outcome.spent.pico or 0, 0)
    assert account.spent > COST


async def test_a_model_without_a_price_is_not_called_under_a_hard_budget() -> None:
    async with upstream(Reply(200, USED)) as found:
        (outcome,), _ = await called(found, 20 * COST, 1, model="other")
    assert outcome.error is not None
    assert outcome.error.type == "budget_exceeded"
    assert "name one in [[prices]]" in outcome.error.message
    assert outcome.attempts == 0


pytestmark = pytest.mark.timeout(120)
