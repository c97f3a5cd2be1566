"""Schedules: values of a seed, repeated by one command, shrunk to what fails."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lab.schedule import KIND, QUIET_START_S, Schedule, make_schedule
from ops.lab.shrink import shrink


@given(st.integers(0, 10_000), st.sampled_from([60.0, 90.0, 600.0]))
def test_a_seed_gives_the_same_faults_every_time_and_at_least_five(seed: int, seconds: float) -> None:
    schedule = make_schedule(seed, seconds)
    assert schedule == make_schedule(seed, seconds)
    assert len(schedule.faults) >= 5
    assert all(fault.at_s >= QUIET_START_S and fault.at_s + fault.lasts_s <= seconds for fault in schedule.faults)


@given(st.integers(0, 10_000))
def test_faults_of_the_cluster_never_overlap_and_a_topic_grows_once(seed: int) -> None:
    faults = [fault for fault in make_schedule(seed, 600).faults if fault.lane == "cluster"]
    assert all(one.at_s + one.lasts_s < two.at_s for one, two in pairwise(faults))
    assert sum(fault.kind == "partitions_added" for fault in faults) <= 1


def test_every_kind_is_drawn() -> None:
    drawn = {fault.kind for seed in range(60) for fault in make_schedule(seed, 90).faults}
    assert drawn == set(KIND)


def test_other_seeds_give_other_faults() -> None:
    assert make_schedule(1, 90).faults != make_schedule(2, 90).faults


def test_chosen_kinds_are_all_that_is_drawn_and_an_unknown_one_is_named() -> None:
    assert {fault.kind for fault in make_schedule(3, 300, kinds=["net_cut", "worker_kill"]).faults} == {
        "net_cut",
        "worker_kill",
    }
    with pytest.raises(ValueError, match="there is no fault net_cat"):
        make_schedule(3, 90, kinds=["net_cat"])


def test_a_part_of_a_schedule_is_repeated_by_its_command() -> None:
    schedule = make_schedule(4, 90)
    part = schedule.keep([3, 1])
    assert part.faults == (schedule.faults[1], schedule.faults[3])
    assert part.command() == "python -m tests.cluster --seed 4 --seconds 90 --only 1,3"
    assert part.keep([3]).faults == (schedule.faults[3],)
    assert schedule.keep([]).command().endswith("--only none")
    with pytest.raises(ValueError, match="no fault 99"):
        schedule.keep([99])


@given(st.sets(st.integers(0, 11), min_size=1, max_size=3))
def test_what_fails_for_some_faults_together_is_shrunk_to_those(guilty: set[int]) -> None:
    async def fails(places: tuple[int, ...]) -> bool:
        return guilty <= set(places)

    assert set(asyncio.run(shrink(range(12), fails, most_runs=500))) == guilty


@given(st.sets(st.integers(0, 11), min_size=1, max_size=12), st.integers(0, 5))
def test_shrinking_keeps_to_its_number_of_runs_and_never_gives_what_passed(guilty: set[int], most: int) -> None:
    runs = 0

    async def fails(places: tuple[int, ...]) -> bool:
        nonlocal runs
        runs += 1
        return guilty <= set(places)

    left = asyncio.run(shrink(range(12), fails, most))
    assert runs <= most
    assert guilty <= set(left)


def test_a_failure_without_any_fault_is_shrunk_to_none() -> None:
    async def fails(places: tuple[int, ...]) -> bool:
        return True

    assert asyncio.run(shrink(range(5), fails, 10)) == ()


def test_a_schedule_that_spares_the_first_never_kills_control() -> None:
    kinds = {fault.kind for seed in range(20) for fault in make_schedule(seed, 600, spare_first=True).faults}
    assert "control_kill" not in kinds
    assert "control_pause" in kinds
    assert Schedule(1, 60, (), None, True).spare_first
