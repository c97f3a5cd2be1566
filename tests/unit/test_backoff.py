"""Back-off: waits double from the first to the longest, and jitter never goes beyond its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.backoff import equal_jitter_s, exponential_s, full_jitter_s


def test_waits_double_from_the_first_to_the_longest() -> None:
    assert [exponential_s(failures, 0.2, 5.0) for failures in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@given(st.integers(0, 10**9), st.floats(0.001, 60), st.floats(0.001, 3600))
def test_no_number_of_failures_goes_beyond_the_longest_wait(failures: int, first_s: float, most_s: float) -> None:
    wait_s = exponential_s(failures, first_s, most_s)
    assert min(first_s, most_s) <= wait_s <= most_s
    assert exponential_s(failures + 1, first_s, most_s) >= wait_s


@given(st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_equal_jitter_keeps_half_of_the_wait_and_full_jitter_none(wait_s: float, drawn: float) -> None:
    assert wait_s / 2 <= equal_jitter_s(wait_s, lambda: drawn) <= wait_s
    assert 0 <= full_jitter_s(wait_s, lambda: drawn) <= wait_s
