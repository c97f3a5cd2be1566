"""What headers say, and how far it is believed."""

import pytest

from schemas.lease import ProviderView
from streams.limits.amount import NONE, Amount, limit_of
from streams.limits.provider_view import CorrectedLimit, read_headers

LIMIT = limit_of(3_500, 90_000)
NOW = 1_767_225_600.0  # 2026-01-01


def test_openais_headers_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert read_headers(headers, NOW) == ProviderView(
        limit_requests=60,
        limit_tokens=150_000,
        remaining_requests=59,
        remaining_tokens=149_984,
        reset_s=60.0,  # six minutes are not believed
    )


def test_anthropics_headers_are_read() -> None:
    headers = {
        "anthropic-ratelimit-tokens-limit": "80000",
        "anthropic-ratelimit-tokens-remaining": "1000",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:12Z",
    }
    view = read_headers(headers, NOW)
    assert view == ProviderView(limit_tokens=80_000, remaining_tokens=1_000, reset_s=12.0)


def test_anthropics_headers_of_input_and_output_are_read() -> None:
    headers = {  # as recorded, https://rdrr.io/cran/tidyllm/src/tests/testthat/claude
        "anthropic-ratelimit-input-tokens-limit": "80000",
        "anthropic-ratelimit-input-tokens-remaining": "79000",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:01Z",
        "anthropic-ratelimit-output-tokens-limit": "16000",
        "anthropic-ratelimit-output-tokens-remaining": "15000",
        "anthropic-ratelimit-output-tokens-reset": "2026-01-01T00:00:04Z",
        "anthropic-ratelimit-tokens-limit": "96000",
        "anthropic-ratelimit-tokens-remaining": "94000",
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "999",
    }
    assert read_headers(headers, NOW) == ProviderView(
        limit_requests=1_000,
        limit_tokens=96_000,
        limit_input=80_000,
        limit_output=16_000,
        remaining_requests=999,
        remaining_tokens=94_000,
        remaining_input=79_000,
        remaining_output=15_000,
        reset_s=4.0,
    )


def test_a_lower_limit_of_one_side_corrects_that_side_alone() -> None:
    limit = CorrectedLimit(limit_of(3_500, input_tokens=30_000, output_tokens=8_000))
    limit.correct(0.0, ProviderView(limit_input=20_000, remaining_input=5_000, remaining_output=8_000), NONE)
    assert limit.at(1.0) == limit_of(3_500, input_tokens=20_000, output_tokens=8_000)
    assert limit.foreign(1.0) == Amount(0, 0, 14_000, 0)


def test_a_side_without_a_limit_of_ours_is_not_corrected() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(remaining_input=0, remaining_output=0), NONE)
    assert limit.foreign(1.0) == NONE


@pytest.mark.parametrize("value", ["", "-5", "many", "1e9", "9" * 40, "٣"])
def test_what_cannot_be_read_says_nothing(value: str) -> None:
    assert read_headers({"x-ratelimit-remaining-tokens": value, "x-ratelimit-reset-tokens": value}, NOW) is None


def test_a_lower_limit_holds_for_a_minute_and_a_higher_one_never() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(limit_requests=9_000, limit_tokens=30_000), NONE)
    assert limit.at(59.0) == limit_of(3_500, 30_000)
    assert limit.at(60.0) == LIMIT


def test_no_header_takes_more_than_nine_tenths_of_the_limit() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(limit_tokens=1, remaining_tokens=0), NONE)
    assert limit.at(1.0).tokens == 9_000
    limit.correct(0.0, ProviderView(remaining_tokens=0), NONE)
    assert limit.foreign(1.0).tokens <= 81_000


def test_what_others_use_with_the_same_key_is_left_to_them() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(limit_tokens=90_000, remaining_tokens=30_000, reset_s=20.0), Amount(5, 10_000))
    assert limit.foreign(19.0).tokens == pytest.approx(60_000 - 10_000 - 4_500)
    assert limit.foreign(20.0) == NONE


def test_what_the_provider_counts_of_ours_alone_changes_nothing() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(limit_tokens=90_000, remaining_tokens=30_000), Amount(40, 60_000))
    assert limit.foreign(1.0) == NONE
    limit.correct(0.0, ProviderView(limit_tokens=90_000, remaining_tokens=90_000), Amount(40, 60_000))
    assert limit.foreign(1.0) == NONE


def test_a_pause_ends() -> None:
    limit = CorrectedLimit(LIMIT)
    limit.correct(0.0, ProviderView(pause_s=5.0), NONE)
    assert limit.paused(4.9)
    assert not limit.paused(5.0)
