"""A provider's dates are of its own clock, and are held against that: a worker's may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.limits.provider_view import read_headers
from streams.limits.retry_after import retry_after_s

NOW = 1_800_000_000
FAR = st.integers(-(10**9), 10**9)


def http_date(at: int) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)


@given(st.integers(0, 3_600), FAR)
def test_retry_after_is_as_long_as_the_provider_means_whatever_our_clock_says(wait_s: int, off_s: int) -> None:
    """xorbitsai/xllamacpp#155, wso2/carbon-apimgt#7059: a date in place of seconds, and a client whose clock is off."""
    said = {"retry-after": http_date(NOW + wait_s), "date": http_date(NOW)}
    assert retry_after_s(said, now=NOW + off_s) == wait_s


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026"])
def test_a_date_that_is_none_leaves_our_own_clock(date: str) -> None:
    assert retry_after_s({"retry-after": http_date(NOW + 20), "date": date}, now=NOW + 5) == 15


def test_an_answer_out_of_a_cache_bears_an_old_date() -> None:
    """smithy-lang/smithy-rs#4800, aws/aws-sdk-js#706: `Age`."""
    said = {"retry-after": http_date(NOW + 20), "date": http_date(NOW - 600), "age": "600"}
    assert retry_after_s(said, now=NOW) == 20


@given(st.integers(0, 50), FAR)
def test_a_reset_that_is_a_moment_is_held_against_the_providers_clock(wait_s: int, off_s: int) -> None:
    reset = datetime.fromtimestamp(NOW + wait_s, UTC).isoformat()
    said = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": reset,
        "date": http_date(NOW),
    }
    view = read_headers(said, now=NOW + off_s)
    assert view is not None
    assert view.reset_s == wait_s
