"""What is charged is what a provider says that it counts, whatever it reports."""

import pytest

from schemas.response import Usage
from streams.limits.amount import Amount, limit_of
from streams.limits.counting import COUNTING, MOST_SHARE, Counting
from streams.limits.token_estimate import Estimate
from streams.limits.usage import NOTHING, Used, used_of

LIMIT = limit_of(100, 90_000)
ASKED = Estimate(input=1_200, output=500, usual_output=80, least_input=400, least_output=500)


@pytest.mark.parametrize(
    ("wire", "reserved", "charged"),
    [
        # https://platform.openai.com/docs/guides/rate-limits; that cached tokens count: community.openai.com/t/1138631
        ("openai", Amount(1, 1_700, 1_200, 500), Amount(1, 1_040, 1_000, 40)),
        # https://docs.claude.com/en/api/rate-limits
        ("anthropic", Amount(1, 1_280, 1_200, 80), Amount(1, 140, 100, 40)),
    ],
)
def test_each_format_counts_what_its_vendor_says(wire: str, reserved: Amount, charged: Amount) -> None:
    assert COUNTING[wire].reserved(ASKED, LIMIT) == reserved
    assert COUNTING[wire].charged(ASKED, Used(input=1_000, output=40, cached=900)) == charged


@pytest.mark.parametrize(
    ("used", "counted", "exempt"),
    [
        pytest.param(Used(10_000, 0, 8_000), 10_000, 2_000, id="BerriAI/litellm#18728"),
        pytest.param(Used(411_909, 0, 350_000), 411_909, 61_909, id="librefang/librefang#4943"),
        pytest.param(Used(9_935, 111, 9_856), 10_046, 190, id="community.openai.com/t/1138631"),
    ],
)
def test_cached_input_counts_only_where_the_provider_counts_it(used: Used, counted: int, exempt: int) -> None:
    assert Counting(cached=True).charged(ASKED, used).tokens == counted
    assert Counting(cached=False).charged(ASKED, used).tokens == exempt


@pytest.mark.parametrize(
    ("rule", "reserved", "charged"),
    [
        pytest.param("always", 1_700, 1_500, id="Azure: learn.microsoft.com/answers/questions/1851574"),
        pytest.param("always", 1_700, 1_500, id="Groq: maplibre/maplibre-agent-skills#63"),
        pytest.param("until_answered", 1_700, 1_040, id="what it had, once it is known"),
        pytest.param("never", 1_280, 1_040, id="Anthropic: docs.claude.com/en/api/rate-limits"),
    ],
)
def test_max_tokens_counts_as_long_as_the_provider_says(rule: str, reserved: int, charged: int) -> None:
    counting = Counting(max_tokens=rule)  # type: ignore[arg-type]
    assert counting.reserved(ASKED, LIMIT).tokens == reserved
    assert counting.charged(ASKED, Used(input=1_000, output=40)).tokens == charged


def test_a_refused_call_counts_as_a_request_alone() -> None:
    for rule in ("always", "until_answered", "never"):
        assert Counting(max_tokens=rule).charged(ASKED, NOTHING) == Amount(1, 0)


@pytest.mark.parametrize(
    ("usage", "cached", "used"),
    [
        pytest.param(Usage(21, 0, 81), 0, Used(21, 60), id="thoughts: router-for-me/CLIProxyAPI#5733"),
        pytest.param(Usage(20, 198, 623), 0, Used(20, 603), id="thoughts: mozilla-ai/any-llm#1290"),
        pytest.param(Usage(20, 424, 1_016), 0, Used(20, 996), id="thoughts: Clarifai/clarifai-python#978"),
        pytest.param(Usage(10, 5, 0), 0, Used(10, 5), id="no total"),
        pytest.param(Usage(0, 0, 15), 0, Used(0, 15), id="a total alone"),
        pytest.param(Usage(10, 5, 15), 12, Used(10, 5, 10), id="more cached than there was"),
        pytest.param(Usage(), 0, None, id="nothing is known"),
    ],
)
def test_usage_of_any_shape_is_charged_whole(usage: Usage, cached: int, used: Used | None) -> None:
    assert used_of(usage, cached) == used


def test_a_call_that_may_take_more_than_the_limit_is_reserved_most_of_it() -> None:
    asked = Estimate(input=96_000, least_input=32_000)
    assert Counting().reserved(asked, LIMIT).tokens == 90_000 * MOST_SHARE
    assert Counting().least(asked).tokens == 32_000


def test_a_call_that_surely_takes_nearly_all_of_the_limit_is_reserved_whole() -> None:
    asked = Estimate(input=89_000, least_input=89_000)
    assert Counting().reserved(asked, LIMIT).tokens == 89_000


def test_what_is_expected_in_the_prompt_cache_is_not_reserved_where_it_does_not_count() -> None:
    assert Counting(cached=False, max_tokens="never").reserved(ASKED, LIMIT, 0.5).input == 600
    assert Counting(cached=True, max_tokens="never").reserved(ASKED, LIMIT, 0.5).input == 1_200
