"""The pause before another attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.providers.retry import RetryPolicy

CHANCE = st.floats(0, 1, exclude_max=True)
DELAY_S = st.floats(0.001, 100)


@given(
    st.integers(1, 30), st.integers(1, 20), DELAY_S, DELAY_S, st.none() | st.floats(0, 1000), st.floats(0, 1000), CHANCE
)
def test_a_pause_is_within_its_bounds_and_inside_the_time_left(
    attempts: int,
    max_attempts: int,
    base_s: float,
    max_s: float,
    retry_after_s: float | None,
    left_s: float,
    chance: float,
) -> None:
    pause_s = RetryPolicy(max_attempts, base_s, max_s).backoff_s(attempts, retry_after_s, left_s, lambda: chance)
    asked_s = retry_after_s or 0.0
    bound_s = min(max_s, base_s * 2.0 ** (attempts - 1))
    if pause_s is not None:
        assert attempts < max_attempts
        assert asked_s <= pause_s <= max(bound_s, asked_s)
        assert pause_s < left_s
    elif attempts < max_attempts:
        assert max(chance * bound_s, asked_s) >= left_s


def test_the_bound_doubles_with_every_attempt_up_to_the_longest() -> None:
    policy = RetryPolicy(max_attempts=6, base_delay_s=0.5, max_delay_s=3.0)
    pauses = [policy.backoff_s(attempts, None, 100.0, lambda: 0.5) for attempts in range(1, 6)]
    assert pauses == [0.25, 0.5, 1.0, 1.5, 1.5]


def test_the_provider_is_not_called_before_it_said() -> None:
    policy = RetryPolicy(max_attempts=3, base_delay_s=0.5, max_delay_s=8.0)
    assert policy.backoff_s(1, 20.0, 100.0, lambda: 0.9) == 20.0
    assert policy.backoff_s(1, 20.0, 20.0, lambda: 0.9) is None


def test_there_is_no_attempt_beyond_the_last() -> None:
    policy = RetryPolicy(max_attempts=1, base_delay_s=0.5, max_delay_s=8.0)
    assert policy.backoff_s(1, None, 100.0, lambda: 0.0) is None
