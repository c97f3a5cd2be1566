"""What a call costs by the price table: every token once, in integers, whatever the provider's way of counting."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cost import amount_text, pico_of
from schemas.response import Usage
from streams.money.library import price_of
from streams.money.prices import Price, PriceTable, Rule, cost_of, most_of
from streams.money.usage import Billed, billed_of
from streams.providers.formats.anthropic.answer import usage_in_openai
from streams.providers.formats.wire import usage_of


def price(above: int = 0, **of_a_million: str) -> Price:
    return price_of({kind: Decimal(amount) for kind, amount in of_a_million.items()}, above)


SONNET = price(input="3", output="15", cached="0.3", written="3.75", written_1h="6")
GEMINI = price(input="1.25", output="10", cached="0.625")


def cost(each: Price, stated: Mapping[str, Any]) -> str:
    billed = billed_of(usage_of(stated), dict(stated), stated.get("service_tier"))
    assert billed is not None
    return amount_text(cost_of((each,), billed))


def anthropic_cost(reported: Mapping[str, Any]) -> str:
    return cost(SONNET, usage_in_openai(dict(reported))[1])


def test_what_is_written_into_the_cache_is_not_charged_as_input_too() -> None:
    """https://github.com/BerriAI/litellm/issues/9812: 0.091311 told, 0.054399 on the provider's bill."""
    reported = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 12304,
        "cache_read_input_tokens": 0,
        "output_tokens": 550,
    }
    assert anthropic_cost(reported) == "0.054399"


def test_what_was_cached_is_not_charged_as_text_too() -> None:
    """https://github.com/BerriAI/litellm/issues/14849: 0.7642 told, 0.1849 right."""
    stated = {
        "prompt_tokens": 262_960,
        "completion_tokens": 1744,
        "total_tokens": 264_704,
        "prompt_tokens_details": {"text_tokens": 262_960, "cached_tokens": 257_955},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert cost(GEMINI, stated) == "0.184918125"


def test_cache_reads_that_stand_beside_the_details_count_as_reads() -> None:
    """https://github.com/BerriAI/litellm/issues/11789: of a stream, the details say 0 and a field beside them 2455."""
    stated = {
        "prompt_tokens": 2459,
        "completion_tokens": 23,
        "total_tokens": 2482,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None},
        "cache_read_input_tokens": 2455,
    }
    assert cost(SONNET, stated) == amount_text((4 * 3_000_000) + 2455 * 300_000 + 23 * 15_000_000)


def test_reads_and_writes_in_one_answer_are_three_prices() -> None:
    """https://github.com/BerriAI/litellm/issues/11364 (comment of 2026-01-19): 98,805 prompt tokens, only 10 of them plain."""
    stated = {
        "prompt_tokens": 98_805,
        "completion_tokens": 5120,
        "total_tokens": 103_925,
        "prompt_tokens_details": {"cached_tokens": 66_360, "cache_creation_tokens": 32_435},
        "completion_tokens_details": {"reasoning_tokens": 1710},
    }
    assert cost(SONNET, stated) == amount_text(
        10 * 3_000_000 + 66_360 * 300_000 + 32_435 * 3_750_000 + 5120 * 15_000_000
    )


def test_a_cache_of_an_hour_has_a_price_of_its_own() -> None:
    reported = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
        "output_tokens": 0,
    }
    assert anthropic_cost(reported) == amount_text(3_000_000 + 400 * 3_750_000 + 600 * 6_000_000)


def test_what_was_thought_and_is_in_the_total_alone_is_paid_as_output() -> None:
    stated = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}
    assert cost(GEMINI, stated) == amount_text(10 * 1_250_000 + 105 * 10_000_000)


def test_a_long_prompt_is_dearer_as_a_whole() -> None:
    steps = (price(input="3", output="15"), price(200_000, input="6", output="22.5"))
    assert cost_of(steps, Billed(200_000, 1)) == 200_000 * 3_000_000 + 15_000_000
    assert cost_of(steps, Billed(200_001, 1)) == 200_001 * 6_000_000 + 22_500_000


@pytest.mark.parametrize(
    ("tier", "wanted"), [("flex", "flex"), ("priority", "priority"), ("default", "standard"), (7, "standard")]
)
def test_the_tier_is_the_one_that_the_answer_names(tier: object, wanted: str) -> None:
    billed = billed_of(Usage(1, 1, 2), {}, tier)
    assert billed is not None
    assert billed.tier == wanted


def table(*rules: Rule, **more: Any) -> PriceTable:
    return PriceTable(rules, "v", **more)


def test_the_settings_come_before_the_list_and_a_fallback_after_it() -> None:
    mine, last, listed = price(input="1"), price(input="9"), (price(input="5"),)
    rules = [Rule("gpt-*", "*", "standard", mine), Rule("*", "*", "standard", last, fallback=True)]
    known = table(*rules, listed=lambda provider, model, tier, now: listed if model == "listed" else None)
    assert known.of("main", "gpt-4o", "standard", 0) == (mine,)
    assert known.of("main", "listed", "standard", 0) == listed
    assert known.of("main", "other", "batch", 0) == (last,)


def test_without_a_price_there_is_none() -> None:
    assert table(Rule("gpt-*", "main", "standard", price(input="1"))).of("other", "gpt-4o", "standard", 0) is None


def test_a_price_that_changes_at_a_date_is_looked_up_again() -> None:
    known = table(listed=lambda provider, model, tier, now: (price(input="10" if now < 7200 else "2"),))
    assert [known.of("p", "m", "standard", now)[0].input for now in (0, 3600, 7200)] == [  # type: ignore[index]
        10_000_000,
        10_000_000,
        2_000_000,
    ]


TOKENS = st.integers(0, 10**9)
PRICES = st.builds(Price, *[st.integers(0, 10**9)] * 6)


@st.composite
def bills(draw: st.DrawFn) -> Billed:
    plain, cached, written, hour, said, thought = (draw(TOKENS) for _ in range(6))
    return Billed(plain + cached + written + hour, said + thought, cached, written, hour, thought)


@given(PRICES, bills())
def test_the_parts_add_up_to_the_whole_exactly(each: Price, billed: Billed) -> None:
    plain = billed.input - billed.cached - billed.written - billed.written_1h
    kinds = {
        "input": plain,
        "cached": billed.cached,
        "written": billed.written,
        "written_1h": billed.written_1h,
        "output": billed.output - billed.reasoning,
        "reasoning": billed.reasoning,
    }
    whole = sum(Fraction(getattr(each, kind), 10**12) * tokens for kind, tokens in kinds.items())
    assert Fraction(amount_text(each.of(billed))) == whole


@given(PRICES, bills())
def test_no_call_costs_more_than_was_set_aside_for_its_tokens(each: Price, billed: Billed) -> None:
    steps = (each, replace(each, input=2 * each.input, written=2 * each.written, output=2 * each.output, above=1000))
    assert cost_of(steps, billed) <= most_of(steps, billed.input, billed.output)


@given(st.integers(0, 10**18))
def test_an_amount_is_read_as_it_was_written(pico: int) -> None:
    assert pico_of(amount_text(pico)) == pico
