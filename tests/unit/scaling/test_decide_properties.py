"""What holds for every load: bounds, rest between changes, more load never fewer workers, no flapping, no shrinking blindly."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ops.simulation.scaling_model import Minute, Site, run
from schemas.scaling_decision import ScalingState, Signals
from streams.scaling.decide import decide
from streams.scaling.policy import Policy
from tests.unit.scaling.virtual import SPECIFIED, minutes, policy, window

NOW = 20 * 60.0 + 5
SHARES = st.floats(0, 1.5)
LEVELS = st.tuples(
    SHARES, SHARES, st.floats(0, 5000), st.floats(0, 90), st.floats(0, 0.1), st.floats(0, 500), st.booleans()
)
NAMES = ("cpu", "memory", "queued", "wait_s", "expired", "throughput_per_s", "provider_limited")
STATES = st.builds(
    ScalingState,
    st.integers(2, 10),
    st.none() | st.floats(0, NOW),
    st.none() | st.floats(1, 500),
    st.none() | st.floats(0, NOW),
    st.none() | st.floats(1, 100),
    st.none() | st.floats(0, NOW),
)
POLICIES = st.builds(
    policy,
    smallest=st.integers(1, 4),
    largest=st.integers(1, 12),
    out_step=st.integers(1, 4),
    in_step=st.integers(1, 4),
    out_cooldown_s=st.sampled_from([0.0, 60.0, 600.0]),
    in_cooldown_s=st.sampled_from([0.0, 60.0, 600.0]),
    low_for_s=st.sampled_from([60.0, 300.0, 600.0]),
)


@st.composite
def histories(draw: st.DrawFn, workers: int | None = None) -> list[Signals]:
    """Windows of the last ten minutes: stretches of a level each, some windows missing or incomplete."""
    found: list[Signals] = []
    minute = 11
    while minute <= 20:
        level = dict(zip(NAMES, draw(LEVELS), strict=True))
        count = workers if workers is not None else draw(st.integers(1, 12))
        for _ in range(draw(st.integers(1, 10))):
            kind = draw(st.sampled_from(["there"] * 6 + ["missing", "incomplete"]))
            if kind != "missing" and minute <= 20:
                found.append(window(minute, **level, workers=count, complete=kind == "there"))
            minute += 1
    return found


@given(histories(), STATES, POLICIES)
def test_the_fleet_stays_within_its_bounds_and_moves_by_a_step(
    windows: list[Signals], before: ScalingState, held_to: Policy
) -> None:
    made = decide(windows, before, held_to, NOW)
    assert min(held_to.smallest, held_to.largest) <= made.desired <= held_to.largest
    assert made.state.target == made.desired
    if held_to.smallest <= before.target <= held_to.largest:
        assert -held_to.in_step <= made.desired - before.target <= held_to.out_step
    assert (made.direction == "hold") == (made.desired == before.target)
    assert made.direction == "hold" or not made.blocked_by


@given(st.lists(histories(), min_size=2, max_size=30), STATES)
def test_two_changes_are_never_nearer_than_the_cooldown(steps: list[list[Signals]], before: ScalingState) -> None:
    state, changed_at = replace(before, changed_at_s=None), [-1e9]
    for minute, windows in enumerate(steps):
        now = NOW + minute * 60.0
        moved = [replace(w, start_s=w.start_s + minute * 60.0, end_s=w.end_s + minute * 60.0) for w in windows]
        made = decide(moved, state, SPECIFIED, now)
        if made.direction != "hold":
            changed_at.append(now)
        state = made.state
    assert all(later - earlier >= 600 for earlier, later in pairwise(changed_at))


@given(histories(), STATES, st.lists(st.floats(1, 3), min_size=5, max_size=5))
def test_more_load_never_makes_a_smaller_fleet(
    windows: list[Signals], before: ScalingState, times: list[float]
) -> None:
    def more(each: Signals) -> Signals:
        return replace(
            each,
            cpu=(each.cpu or 0.0) * times[0], memory=(each.memory or 0.0) * times[1], queued=(each.queued or 0.0) * times[2],
            wait_s=(each.wait_s or 0.0) * times[3], expired=(each.expired or 0.0) * times[4],
        )  # fmt: skip

    assert decide([more(each) for each in windows], before, SPECIFIED, NOW).desired >= (
        decide(windows, before, SPECIFIED, NOW).desired
    )


@given(st.integers(3, 10), st.sets(st.integers(0, 9), min_size=1), st.booleans(), STATES)
def test_missing_data_never_shrinks_the_fleet(target: int, lacking: set[int], gone: bool, before: ScalingState) -> None:
    calm = minutes(11, 20, workers=target)
    ready = replace(before, target=target, changed_at_s=None, saturated_per_s=None)
    assert decide(calm, ready, SPECIFIED, NOW).direction == "scale_in"
    broken = [replace(each, complete=False) if n in lacking else each for n, each in enumerate(calm)]
    left = [each for n, each in enumerate(broken) if not (gone and n in lacking)]
    assert decide(left, ready, SPECIFIED, NOW).direction == "hold"


def reversals(run_of: list[Minute]) -> int:
    """How often the fleet changed its direction."""
    moves = [each.decision.direction for each in run_of if each.decision.direction != "hold"]
    return sum(one != other for one, other in pairwise(moves))


NOISE = st.lists(st.floats(0.9, 1.1), min_size=20, max_size=60)


def wavering(mean: float, noise: list[float]) -> Callable[[float], float]:
    return lambda at_s: mean * noise[int(at_s // 60) % len(noise)]


@pytest.mark.parametrize("cpu_when_full", [1.0, 0.2], ids=["bound by CPU", "bound by calls"])
@settings(max_examples=40)
@given(st.integers(2, 9), NOISE, st.floats(0.9, 1.1), st.integers(2, 10))
def test_a_load_that_wavers_by_ten_percent_around_a_threshold_makes_no_flapping(
    cpu_when_full: float, workers: int, noise: list[float], around: float, at_first: int
) -> None:
    """Whatever the noise is, for six hours: up or down to where the load fits, and there it stays.

    The threshold is 75 % of the CPU of so many workers, or, where calls and not CPU bound a worker, all that they can do.
    """
    site = Site(per_worker_per_s=100.0, cpu_when_full=cpu_when_full)
    mean = workers * 100.0 * (0.75 if cpu_when_full == 1.0 else 1.0) * around
    whole = list(run(wavering(mean, noise), site, SPECIFIED, 6 * 3600.0, at_first))
    assert reversals(whole) <= 1
    settled = [each.decision.direction for each in whole if each.end_s > 3 * 3600]
    assert len({move for move in settled if move != "hold"}) <= 1


@given(st.floats(30.0, 290.0), st.integers(2, 10))
def test_a_fleet_bound_by_its_provider_does_not_grow(provider_per_s: float, at_first: int) -> None:
    assume(provider_per_s < at_first * 100.0)
    site = Site(per_worker_per_s=100.0, provider_per_s=provider_per_s)
    whole = list(run(lambda at_s: 2000.0, site, SPECIFIED, 3600.0, at_first))
    assert {each.decision.direction for each in whole} == {"hold"}
    assert whole[-1].decision.blocked_by[0] in ("provider_limited", "at_max")


@given(st.floats(30.0, 190.0))
def test_a_bottleneck_that_says_nothing_costs_one_worker_an_hour_at_most(shared_per_s: float) -> None:
    """Something that all workers share is full, and nobody reports it: the step that brings nothing is not repeated."""
    grown = 0
    state, windows = ScalingState(2), minutes(1, 10, queued=5e3, throughput_per_s=shared_per_s)
    for minute in range(11, 11 + 180):
        windows = [*windows[1:], window(minute, queued=5e3, throughput_per_s=shared_per_s, workers=state.target)]
        made = decide(windows, state, SPECIFIED, minute * 60.0)
        grown += made.direction == "scale_out"
        state = made.state
    assert grown == 3
