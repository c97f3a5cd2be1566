"""What is expected in a provider's prompt cache: never more than was seen of late, and of nobody else."""

from itertools import dropwhile

from hypothesis import given
from hypothesis import strategies as st

from streams.limits.cached_share import CachedShares
from streams.limits.usage import Used

SHARES = st.lists(st.integers(0, 100), min_size=1, max_size=30)


def seen(percents: list[int], every_s: float = 1.0) -> CachedShares:
    shares = CachedShares()
    for number, percent in enumerate(percents):
        shares.observe("a", Used(input=1_000, output=1, cached=percent * 10), number * every_s)
    return shares


@given(SHARES)
def test_no_more_is_expected_than_the_least_of_the_last_answers(percents: list[int]) -> None:
    after_the_first_hit = list(
        dropwhile(lambda percent: percent == 0, percents)
    )  # prompts that fill the cache say nothing
    least = min(after_the_first_hit[-8:], default=0)
    assert seen(percents).expected("a", len(percents)) <= least / 100


@given(st.integers(1, 99))
def test_more_answers_alike_make_it_surer_and_never_certain(percent: int) -> None:
    expected = [seen([percent] * count).expected("a", count) for count in range(1, 9)]
    assert expected == sorted(expected)
    assert expected[-1] < percent / 100


def test_a_first_prompt_that_fills_the_cache_says_nothing() -> None:
    assert seen([0, 0, 90]).expected("a", 3.0) == 0.45


def test_one_that_missed_the_cache_is_remembered() -> None:
    assert seen([90, 90, 90, 0, 90]).expected("a", 5.0) == 0.0


def test_a_cache_that_was_not_used_for_minutes_is_gone() -> None:
    shares = seen([90, 90])
    assert shares.expected("a", 200.0) > 0.5
    assert shares.expected("a", 300.0) == 0.0
    shares.observe("a", Used(input=1_000, output=1, cached=900), 301.0)
    assert shares.expected("a", 302.0) == 0.45  # it begins anew


def test_a_caller_learns_for_itself_alone() -> None:
    assert seen([90, 90, 90]).expected("b", 3.0) == 0.0


def test_so_many_callers_are_kept_and_no_more() -> None:
    shares = seen([90])
    for number in range(10_000):
        shares.observe(f"c{number}", Used(input=10, output=1, cached=9), 2.0)
    assert shares.expected("a", 2.0) == 0.0
    assert shares.expected("c9999", 2.0) > 0
