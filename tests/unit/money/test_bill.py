"""A request's cost over its attempts, and before they are made."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from schemas.cost import NO_COST
from streams.money.costs import Bill, Costs
from streams.money.library import price_of
from streams.money.most_tokens import most_input, most_output
from streams.money.prices import PriceTable, Rule
from streams.money.spent import NOTHING, Spent
from streams.money.usage import Billed

PAYLOAD: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "häh?"}], "max_tokens": 10}


def costs(*, known: bool = True) -> Costs:
    price = price_of({"input": Decimal(1), "output": Decimal(10), "written": Decimal(2)})
    return Costs(PriceTable([Rule("m", "*", "standard", price)] if known else [], "v1"), lambda: 0.0, 1000)


def test_a_failed_attempt_that_was_paid_counts_beside_the_answer() -> None:
    bill, of = Bill(), costs()
    bill.unknown(of.guessed("p", "m", "chat.completions", PAYLOAD))
    bill.answered(of.of("p", "m", Billed(5, 2)))
    cost = bill.total.cost()
    assert cost is not None
    assert (cost.estimated, cost.price_version) == (True, "v1")
    assert bill.total.pico == of.most("p", "m", "chat.completions", PAYLOAD) + 25_000_000  # type: ignore[operator]


def test_an_answer_that_is_read_on_is_paid_once() -> None:
    bill, of = Bill(), costs()
    bill.unknown(of.guessed("p", "m", "chat.completions", PAYLOAD))
    bill.answered(of.of("p", "m", Billed(5, 2)), reads_on=True)
    assert bill.total == Spent(25_000_000, "v1")


def test_what_called_nobody_costs_nothing() -> None:
    assert Bill().total.cost() == NO_COST


def test_a_model_without_a_price_costs_nobody_knows_what_and_is_named_once() -> None:
    bill, of = Bill(), costs(known=False)
    with capture_logs() as logs:
        bill.answered(of.of("p", "m", Billed(5, 2)))
        bill.answered(of.of("p", "m", Billed(5, 2)))
    assert bill.total.cost() is None
    assert [entry["model"] for entry in logs] == ["m"]


def test_the_most_that_a_call_may_cost_counts_its_bytes_and_its_bound() -> None:
    most = costs().most("p", "m", "chat.completions", PAYLOAD)
    assert most == most_input("chat.completions", PAYLOAD) * 2_000_000 + 10 * 10_000_000
    assert most_output("chat.completions", PAYLOAD | {"n": 3}, 1000) == 30
    assert most_output("chat.completions", {"messages": []}, 1000) == 1000


def test_a_small_fixed_amount_would_not_do() -> None:
    """https://github.com/candelahq/candela/issues/634: 0.001 was set aside for each call, whatever its model."""
    large = PAYLOAD | {"messages": [{"role": "user", "content": "x" * 100_000}]}
    assert costs().most("p", "m", "chat.completions", large) >= 100_000 * 2_000_000  # type: ignore[operator]


@given(st.text(max_size=200), st.lists(st.text(max_size=50), max_size=5))
def test_a_prompt_has_no_more_tokens_than_bytes(text: str, parts: list[str]) -> None:
    content = [{"type": "text", "text": part} for part in parts]
    payload = {"model": "m", "messages": [{"role": "system", "content": text}, {"role": "user", "content": content}]}
    size = len(text.encode(errors="replace")) + sum(len(part.encode(errors="replace")) for part in parts)
    assert most_input("chat.completions", payload) >= size


@given(st.integers(0, 10**15), st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_shares_add_up_to_the_whole(pico: int, weights: list[int]) -> None:
    shares = Spent(pico, "v").shares(weights)
    assert sum(shares, NOTHING) == Spent(pico, "v")


def test_the_price_list_says_what_it_costs() -> None:
    pytest.importorskip("genai_prices")
    from streams.money.library import listed

    prices = listed({"claude": "anthropic"}, {"claude": "http://127.0.0.1:1/v1", "own": "http://127.0.0.1:2/v1"})
    found = prices("claude", "claude-sonnet-4-5-20250929", "standard", 1_760_000_000)
    assert found is not None
    assert [(step.above, step.input, step.output) for step in found] == [
        (0, 3_000_000, 15_000_000),
        (200_000, 6_000_000, 22_500_000),
    ]
    assert prices("own", "claude-sonnet-4-5-20250929", "standard", 1_760_000_000) is None  # one's own machines
