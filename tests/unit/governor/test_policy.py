"""The memory policy on a clock of the test's own: what it does at each line, and that it neither spins nor locks up."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streams.governor.policy import (
    COST_SHARE,
    LONGEST_WAIT_S,
    URGENT_COST_SHARE,
    MemoryPolicy,
    MemoryRules,
    Reading,
    Step,
)

BUDGET = 1_000_000
RULES = MemoryRules(BUDGET)


def at(share: float, cache: float = 0.0, *, wants_more: bool = False, unfinished: int = 1) -> Reading:
    """A reading in shares of the budget."""
    return Reading(int(share * BUDGET), int(cache * BUDGET), wants_more, unfinished)


def steps(policy: MemoryPolicy, readings: list[Reading], every_s: float = 1.0, took_s: float = 0.0) -> list[Step]:
    made = []
    for index, reading in enumerate(readings):
        now = index * every_s
        made.append(policy.step(reading, now))
        if made[-1].collect != "nothing" or made[-1].give_back:
            policy.took(took_s, now + took_s)
    return made


def test_below_the_threshold_nothing_is_done() -> None:
    (step,) = steps(MemoryPolicy(RULES), [at(0.74, cache=0.5)])
    assert step == Step(0, 0, "nothing", give_back=False, hold=False)


def test_above_the_threshold_the_young_generations_are_collected() -> None:
    (step,) = steps(MemoryPolicy(RULES), [at(0.76)])
    assert (step.collect, step.give_back, step.hold) == ("young", False, False)


def test_memory_that_stays_where_it_is_is_not_collected_again_and_memory_that_grows_is() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.76), at(0.76), at(0.765), at(0.775), at(0.775)])
    assert [step.collect for step in made] == ["young", "nothing", "nothing", "young", "nothing"]


def test_above_the_aggressive_line_everything_is_collected_and_given_back_before_the_cache_is_cut() -> None:
    first, second = steps(MemoryPolicy(RULES), [at(0.87, cache=0.3), at(0.87, cache=0.3)])
    assert (first.collect, first.give_back, first.cut_cache_bytes) == ("full", True, 0)
    assert second.cut_cache_bytes == 70_000  # down to 80 %
    assert second.give_back


def test_what_the_allocator_gives_back_is_not_taken_from_the_cache() -> None:
    _, second = steps(MemoryPolicy(RULES), [at(0.87, cache=0.3), at(0.6, cache=0.3)])
    assert second.cut_cache_bytes == 0


def test_the_thresholds_are_the_settings() -> None:
    policy = MemoryPolicy(MemoryRules(BUDGET, threshold=0.3, aggressive=0.4, hold=0.5))
    made = steps(policy, [at(0.31), at(0.41), at(0.51)])
    assert [step.collect for step in made] == ["young", "full", "young"]
    assert [step.hold for step in made] == [False, False, True]


def test_a_full_collection_that_frees_nothing_is_tried_less_and_less_often() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.87)] * 200)
    at_s = [index for index, step in enumerate(made) if step.collect == "full"]
    gaps = [b - a for a, b in itertools.pairwise(at_s)]
    assert gaps[:4] == [3, 5, 9, 17]
    assert max(gaps) <= LONGEST_WAIT_S + 1


def test_records_are_held_above_the_line_until_memory_is_below_the_aggressive_one() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.89), at(0.91), at(0.87), at(0.86), at(0.84), at(0.89)])
    assert [step.hold for step in made] == [False, True, True, True, False, False]


def test_records_are_held_below_the_line_when_memory_grows_too_fast_to_wait_for_it() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.6), at(0.7), at(0.71), at(0.72), at(0.73)], every_s=0.1)
    assert [step.hold for step in made] == [False, True, False, False, False]


def test_what_records_took_in_one_hold_is_kept_free_in_the_next() -> None:
    policy = MemoryPolicy(RULES)
    learnt = [at(0.8, unfinished=10), at(0.9, unfinished=10), at(0.95, unfinished=10), at(0.7, unfinished=0)]
    assert [step.hold for step in steps(policy, learnt, every_s=10)] == [False, True, True, False]
    later = [at(0.7, unfinished=10), at(0.76, unfinished=40), at(0.76, unfinished=50), at(0.8, unfinished=20)]
    assert [policy.step(reading, 100.0 + 10 * n).hold for n, reading in enumerate(later)] == [False, False, True, False]


def test_a_hold_ends_when_nothing_is_left_to_wait_for() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.95), at(0.95, unfinished=0), at(0.95)])
    assert [step.hold for step in made] == [True, False, True]


def test_a_cache_that_was_cut_grows_while_memory_was_below_the_threshold_after_giving_back() -> None:
    policy = MemoryPolicy(RULES)
    made = steps(
        policy, [at(0.87), at(0.55), at(0.8, cache=0.1, wants_more=True), at(0.86, cache=0.1, wants_more=True)]
    )
    assert [step.grow_cache_bytes for step in made] == [0, 0, 50_000, 0]


def test_a_cache_never_grows_when_what_is_in_use_is_above_the_threshold() -> None:
    made = steps(MemoryPolicy(RULES), [at(0.87), at(0.78), at(0.77, wants_more=True), at(0.79, wants_more=True)])
    assert [step.grow_cache_bytes for step in made[1:3]] == [0, 0]


readings = st.lists(
    st.builds(
        at,
        st.floats(0.5, 1.1),
        st.floats(0.0, 0.4),
        wants_more=st.booleans(),
        unfinished=st.integers(0, 3),
    ),
    max_size=120,
)


@given(readings, st.floats(0.0, 0.3))
def test_its_work_takes_no_more_than_its_share_of_the_time(made_of: list[Reading], took_s: float) -> None:
    policy, now, spent_until, last_share = MemoryPolicy(RULES), 0.0, float("-inf"), 0.0
    for reading in made_of:
        now += 0.1
        step = policy.step(reading, now)
        if step.collect == "nothing" and not step.give_back:
            continue
        # What was cut goes back at once, one more step in a row; above the line nothing is waited for.
        if not step.cut_cache_bytes and reading.rss_bytes < 0.9 * BUDGET and took_s:
            share = last_share / (now - spent_until)
            assert share <= URGENT_COST_SHARE + 1e-9
            assert share <= COST_SHARE + 1e-9 or step.hold or reading.unfinished == 0
        now += took_s
        policy.took(took_s, now)
        spent_until, last_share = now, took_s


@given(readings)
def test_it_holds_only_what_is_there_and_never_cuts_more_than_the_cache_has(made_of: list[Reading]) -> None:
    for reading, step in zip(made_of, steps(MemoryPolicy(RULES), made_of, every_s=0.1), strict=True):
        assert not (step.hold and reading.unfinished == 0)
        assert step.hold or reading.unfinished == 0 or reading.rss_bytes < BUDGET * RULES.hold
        assert 0 <= step.cut_cache_bytes <= reading.cache_bytes
        assert not (step.cut_cache_bytes and step.grow_cache_bytes)
        assert reading.rss_bytes >= BUDGET * RULES.threshold or step.collect == "nothing"


@given(st.floats(0.35, 0.7), st.floats(0.0, 1.0), st.integers(1, 60))
def test_memory_under_a_filling_cache_settles_below_the_budget(base: float, wanted: float, per_s: int) -> None:
    """A model of a worker: a base, a cache that fills at a pace, an allocator that keeps what was freed until told."""
    policy = MemoryPolicy(RULES)
    size, cache, kept = wanted * BUDGET, 0.0, 0.0
    for tick in range(600):
        fill = min(per_s * BUDGET / 1000, size - cache)
        kept = max(0.0, kept - fill)
        cache += fill
        rss = int(base * BUDGET + cache + kept)
        assert rss < BUDGET
        wants = size < wanted * BUDGET and cache >= 0.9 * size
        step = policy.step(Reading(rss, int(cache), wants, 1), tick * 0.1)
        if step.cut_cache_bytes:
            size = max(0.0, cache - step.cut_cache_bytes)
            kept, cache = kept + cache - size, size
        size = min(wanted * BUDGET, size + step.grow_cache_bytes)
        if step.give_back:
            kept = 0.0
            policy.took(0.005, tick * 0.1)
    if base + wanted > RULES.aggressive:
        assert cache >= (RULES.threshold - base) * BUDGET * 0.5, "a cache is kept as far as there is room"
