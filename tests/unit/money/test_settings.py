"""[[prices]] and [[budgets]] of the settings."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from ops.admin.cost import Sums
from streams.money.build import costs_of, prepare_prices, price_table, rules_of
from streams.settings.model import Settings
from streams.settings.money import parse_money
from topics.names import V1, TopicNames

PRICE = {"model": "m-*", "input": "0.0375", "output": 2}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"costs": {"library": "none"}, **sections})


@pytest.mark.parametrize("given", [0.1, True, "1e3", "-1", "1000000", "", "1.", "٣", None])
def test_an_amount_is_an_exact_decimal(given: object) -> None:
    with pytest.raises(ValueError, match="amount of US dollars"):
        parse_money(given)
    assert parse_money("0.0375") == Decimal("0.0375")


def test_prices_of_the_settings_are_integers_and_change_the_version() -> None:
    table = price_table(settings(prices=[PRICE]))
    steps = table.of("any", "m-1", "standard", 0.0)
    assert steps is not None
    assert (steps[0].input, steps[0].cached, steps[0].output) == (37_500, 37_500, 2_000_000)
    assert table.version.startswith("settings-")
    assert table.version != price_table(settings(prices=[PRICE | {"input": "0.04"}])).version


def test_prices_are_taken_over_when_they_change_and_not_before() -> None:
    before, after = settings(prices=[PRICE]), settings(prices=[PRICE | {"input": "0.04"}])
    costs = costs_of(before, lambda: 0.0)
    table = costs.table
    prepare_prices(costs, before)()
    assert costs.table is table
    take = prepare_prices(costs, after)
    assert costs.table is table
    take()
    steps = costs.table.of("any", "m-1", "standard", 0.0)
    assert (steps is not None and steps[0].input, costs.table.version != table.version) == (40_000, True)


def test_a_budget_has_a_key() -> None:
    (rule,) = rules_of(settings(budgets=[{"scope": "agent", "name": "team-*", "period": "day", "amount": "30"}]))
    assert (rule.key, rule.pico, rule.hard) == ("agent/team-*/day", 30 * 10**12, True)


def test_a_hard_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="amount must be above 0"):
        settings(budgets=[{"scope": "agent", "amount": "0"}])


def test_a_budget_by_key_needs_the_secret_that_proves_keys() -> None:
    by_key = [{"scope": "key", "amount": "1"}]
    with pytest.raises(ValueError, match="nobody can prove a key"):
        settings(budgets=by_key)
    assert settings(budgets=by_key, fleet={"secret_file": "/run/secret"}).budgets[0].scope == "key"


def test_an_answer_of_the_cache_is_in_no_sum() -> None:
    """https://github.com/langfuse/langfuse/issues/2112: answers from a cache were told as if they had been called for."""
    sums = Sums("agent", V1)
    answer = {"agent_id": "a", "attempts": 0, "cost": {"amount": "0", "estimated": False},
              "usage": {"prompt_tokens": 3, "completion_tokens": 1}}  # fmt: skip
    sums.note(b"1", orjson.dumps(answer))
    assert sums.rows() == []


def test_sums_count_an_answer_once_and_name_what_is_unknown() -> None:
    sums = Sums("agent", V1)
    usage = b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}'
    known = b'{"agent_id":"a","attempts":2,"cost":{"amount":"0.5","estimated":true},' + usage + b"}"
    unknown = b'{"agent_id":"a","attempts":1,"cost":null,' + usage + b"}"
    for event_id, value in ((b"1", known), (b"1", known), (b"2", unknown), (b"3", b"[]"), (b"4", None)):
        sums.note(event_id, value)
    (row,) = sums.rows()
    assert (row["requests"], row["calls"], row["cost"], row["unknown"], row["estimated"]) == (2, 3, "0.5", 1, 1)


def test_a_tenants_answers_are_its_own_whatever_topic_they_are_on() -> None:
    sums = Sums("tenant", TopicNames.behind("", ["team-a"]))
    answer = orjson.dumps({
        "agent_id": "team-b", "attempts": 1, "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        "cost": {"amount": "0.5", "currency": "USD", "price_version": "x", "estimated": False},
    })  # fmt: skip
    sums.note(b"agent.requests.team-a.high:0:1", answer)
    sums.note(b"agent.requests.high:0:1", answer)
    sums.note(b"nonsense", answer)
    assert [(row["name"], row["requests"], row["cost"]) for row in sums.rows()] == [("-", 2, "1"), ("team-a", 1, "0.5")]
