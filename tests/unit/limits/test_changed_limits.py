"""A limit that is changed while it is used: what was used goes on to count, and the next calls go by the new one."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

from schemas.lease import LeaseDemand
from streams.limits.amount import Amount, limit_of
from streams.limits.books.ledger import LeaseRules, Ledger
from streams.limits.budget import FREE
from streams.limits.counting import COUNTING
from streams.limits.route import Route
from streams.limits.token_estimate import NO_ESTIMATE
from streams.limits.worker.allowance import Allowance
from streams.limits.worker.shared_budget import SharedBudget, SharedLimit

RULES = LeaseRules()
ROUTE = Route("main", "*")


def used_up(limit: Amount) -> Ledger:
    """Books in which all of 60 requests were used at second 0."""
    ledger = Ledger(limit, RULES)
    ledger.advance(0.0)
    demand = LeaseDemand.model_validate(
        {
            "provider": "main", "model": "*", "worker_id": "w", "at": datetime.now(UTC), "seq": 1, "seen": -1,
            "requests": 0, "tokens": 0, "requests_used": 60, "tokens_used": 600,
            "slots": [{"number": 0, "requests": 60, "tokens": 600}],
        }
    )  # fmt: skip
    ledger.demand(1.0, demand)
    return ledger


def test_a_limit_that_was_raised_gives_room_at_once() -> None:
    ledger = used_up(limit_of(60))
    assert ledger.room(1.0).requests <= 0
    ledger.change_limit(limit_of(600))
    for second in range(2, 5):
        ledger.advance(float(second))
    assert ledger.room(4.0).requests == 540
    assert ledger.available(4.0).requests > 0


def test_what_was_used_under_a_higher_limit_counts_against_the_lower_one() -> None:
    ledger = used_up(limit_of(600))
    ledger.change_limit(limit_of(30))
    ledger.advance(2.0)
    assert ledger.available(2.0).requests <= 0
    ledger.advance(63.0)
    assert 0 < ledger.available(63.0).requests <= 30 * RULES.burst_share


def test_a_limit_on_what_had_none_counts_from_what_was_used() -> None:
    ledger = used_up(limit_of(600))
    ledger.change_limit(limit_of(600, 600))
    ledger.advance(2.0)
    assert ledger.available(2.0).tokens <= 0
    ledger.change_limit(limit_of(600))
    assert ledger.available(2.0).tokens == inf


def allowance(limit: Amount) -> Allowance:
    made = Allowance(ROUTE, limit, RULES.window_s, RULES.lease_s)
    made.grant(0, Amount(10, 1000), until=3.0, now=0.0)
    return made


def test_grants_of_a_higher_limit_are_used_no_more() -> None:
    held = allowance(limit_of(600, 6000))
    held.change_limit(limit_of(60, 6000))
    assert not held.reserve(Amount(1, 10), now=0.1)
    assert held.urgent


def test_grants_of_a_lower_limit_are_used_on() -> None:
    held = allowance(limit_of(60, 600))
    held.change_limit(limit_of(600, 6000))
    assert held.reserve(Amount(1, 10), now=0.1)


def test_what_a_call_did_not_use_comes_not_back_as_tokens_that_were_never_granted() -> None:
    held = Allowance(ROUTE, limit_of(600), RULES.window_s, RULES.lease_s)
    held.grant(0, Amount(10, 0), until=3.0, now=0.0)
    assert held.reserve(Amount(1, 500), now=0.1)
    term = held.term
    held.change_limit(limit_of(600, 1000))
    held.grant(1, Amount(1, 0), until=3.0, now=0.2)
    held.close(Amount(1, 500), term, now=0.3)
    assert held.left.tokens == 0


def test_a_provider_whose_limits_are_lifted_is_called_freely_and_limited_again() -> None:
    told: list[Route] = []
    shared = SharedBudget(
        "w", {"main": SharedLimit(limit_of(60), COUNTING["openai"])}, RULES, {}, waiting=dict, alive=lambda: True
    )
    shared.on_room(told.append)
    shared.clock.read(0.0)
    assert shared.reserve(ROUTE, NO_ESTIMATE) is not FREE
    shared.change_limits({"main": limit_of()})
    assert shared.reserve(ROUTE, NO_ESTIMATE) is FREE
    assert told == [ROUTE]
    shared.change_limits({"main": limit_of(60)})
    assert shared.reserve(ROUTE, NO_ESTIMATE) is not FREE
