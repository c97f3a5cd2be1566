"""The token bucket against its definition: no window of time sees more than the burst and what the rate adds to it."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.admission import TokenBucket

STEPS = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), max_size=80)


@given(st.sampled_from([1, 3, 7, 1000, 1717]), st.integers(1, 120), STEPS)
def test_no_window_sees_more_than_burst_and_rate(rate: int, burst: int, steps: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(rate, burst)
    taken: list[tuple[float, int]] = []
    for now, (_, wanted) in zip(accumulate(step for step, _ in steps), steps, strict=True):
        count = min(wanted, bucket.available(now))
        if count:
            bucket.take(now, count)
            taken.append((now, count))
    for first, (begin, _) in enumerate(taken):
        in_window = 0
        for end, count in taken[first:]:
            in_window += count
            assert in_window <= burst + rate * (end - begin) + 1e-6


@given(st.integers(1, 1000), st.integers(1, 100), st.floats(0, 1e6))
def test_whoever_waits_for_the_next_token_gets_it_and_not_before(rate: int, burst: int, began: float) -> None:
    bucket = TokenBucket(rate, burst)
    bucket.take(began, bucket.available(began))
    wait_s = bucket.next_in_s(began)
    assert 0 < wait_s <= 1 / rate + 1e-6
    assert bucket.available(began + wait_s * 0.99) == 0
    assert bucket.available(began + wait_s + 1e-6) == 1


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_gives_no_more_than_a_burst_and_stalls_nobody(step_s: float) -> None:
    bucket = TokenBucket(10, 5)
    bucket.take(10_000.0, 5)
    after = 10_000.0 + step_s
    given_at_once = bucket.available(after)
    assert given_at_once == (0 if step_s < 0 else 5)
    if given_at_once:
        bucket.take(after, given_at_once)
    assert bucket.available(after + 0.11) == 1


def test_over_ten_minutes_of_full_load_the_rate_is_met_to_the_last_token() -> None:
    bucket, taken = TokenBucket(1000, 100), 0
    for millisecond in range(0, 600_000, 5):
        count = bucket.available(millisecond / 1000)
        bucket.take(millisecond / 1000, count)
        taken += count
    assert 600_000 <= taken <= 600_000 + 100
