"""What bounds the calls: slots, connections of agents, retry budget, bandwidth, bytes in memory."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.agent_connections import AgentConnections
from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.memory import Bodies, ReadBuffers
from streams.providers.retry_budget import RetryBudget
from streams.slots import Slots


@pytest.mark.parametrize(
    ("size", "share", "others"), [(10, 0.1, 9), (9, 0.1, 9), (20, 0.1, 18), (1, 0.9, 1), (4, 0, 4)]
)
def test_a_share_of_the_slots_is_kept_for_high(size: int, share: float, others: int) -> None:
    slots = Slots(size, share)
    assert (slots.free("high"), slots.free("normal"), slots.free("low")) == (size, others, others)
    for _ in range(others):
        slots.take("normal")
    assert (slots.free("high"), slots.free("low")) == (size - others, 0)


def test_a_flood_of_high_does_not_shut_the_others_out() -> None:
    slots = Slots(10, 0.1)
    for _ in range(10):
        slots.take("high")
    assert slots.free("low") == 0
    slots.give_back("high")
    assert (slots.free("high"), slots.free("low")) == (1, 1)


def test_an_agent_has_so_many_connections_and_its_next_request_waits_for_so_long() -> None:
    agents = AgentConnections(most=2, wait_s=30)
    agents.take("a")
    agents.take("a")
    assert (agents.free("a"), agents.free("b")) == (False, True)
    assert agents.left_s("a", "r1", 100.0) == 30
    assert agents.left_s("a", "r1", 120.0) == 10
    assert agents.left_s("a", "r2", 125.0) == 30  # another request came first in its agent's queue
    agents.give_back("a")
    agents.take("a")
    assert agents.left_s("a", "r2", 140.0) == 30  # it had one in between
    agents.give_back("a")
    agents.give_back("a")
    assert agents.free("a")


events = st.lists(st.one_of(st.just("request"), st.just("retry"), st.floats(0.01, 5)), max_size=200)


@given(events)
def test_extra_calls_never_exceed_share_floor_and_burst(events: list[Literal["request", "retry"] | float]) -> None:
    budget = RetryBudget(share=0.1, floor_per_s=0.5, burst=5)
    now = requests = retries = 0.0
    for event in events:
        if event == "request":
            budget.request()
            requests += 1
        elif event == "retry":
            retries += budget.take(now) == 0
        else:
            now += float(event)
        assert retries <= 5 + 0.1 * requests + 0.5 * now + 1e-6


def test_who_waits_as_long_as_told_gets_its_retry() -> None:
    budget = RetryBudget(share=0.1, floor_per_s=2, burst=1)
    assert budget.take(0.0) == 0
    wait_s = budget.take(0.0)
    assert wait_s == 0.5
    assert budget.take(wait_s) == 0


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.floats(0, 0.5)), min_size=1, max_size=60))
def test_whoever_waits_as_told_keeps_to_the_bandwidth(moves: list[tuple[int, float]]) -> None:
    bandwidth, now, passed = Bandwidth(10_000_000), 0.0, 0
    for size, pause_s in moves:
        assert bandwidth.wait_s(now) == 0
        assert passed <= 10_000_000 * (now + 0.1) + 1  # the burst
        passed += size
        now += bandwidth.charge(size, now) + pause_s


def test_while_much_is_owed_no_further_call_begins() -> None:
    bandwidth = Bandwidth(10_000_000)
    bandwidth.charge(10_000_000, 0.0)  # 1 MB was saved up, 9 are owed
    assert bandwidth.wait_s(0.1) == pytest.approx(0.3)
    assert bandwidth.wait_s(0.4) == pytest.approx(0.0)


def test_unlimited_bandwidth_never_waits() -> None:
    bandwidth = Bandwidth(None)
    assert (bandwidth.charge(10**12, 0.0), bandwidth.wait_s(0.0), bandwidth.total) == (0.0, 0.0, 10**12)


def test_bodies_fit_up_to_the_bound_and_a_larger_one_alone() -> None:
    bodies = Bodies(most=100)
    assert bodies.fits(500)
    bodies.take(60)
    assert (bodies.fits(40), bodies.fits(41)) == (True, False)
    bodies.give_back(60)
    assert bodies.held == 0


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_readers_stay_inside_the_bound_and_all_of_them_end(sizes: list[int]) -> None:
    step, buffers = 50, ReadBuffers(most=900, largest=350)
    left = {buffers.open(): size for size in sizes}
    waiting: set[int] = set()
    can_go: list[int] = []
    while left:
        progressed = False
        for reader in list(left):
            if reader in can_go:
                can_go.remove(reader)
                waiting.remove(reader)
            elif reader in waiting:
                continue
            elif not buffers.take(reader, step):
                waiting.add(reader)
                buffers.wait(reader, step, partial(can_go.append, reader))
                continue
            came = min(step, left[reader])
            buffers.read(reader, step, came)
            left[reader] -= came
            progressed = True
            if not left[reader]:
                del left[reader]
                buffers.close(reader)
        assert progressed or can_go
    assert buffers.held == 0
    assert buffers.peak <= 900
