"""Whatever is asked of a scheduler, nothing is lost and nobody starves."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.flow.ordering import Ordering
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from tests.unit.flow.scheduler_rig import WEIGHTS, asking, scheduler, take
from topics.names import PRIORITIES, Priority

# ---- nothing is lost, nobody starves

STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), max_size=120)


@given(STEPS, st.sampled_from(["none", "conversation", "agent"]), st.randoms())
def test_any_use_agrees_with_a_model_that_only_counts(
    steps: list[tuple[int, int]], ordering: Ordering, chance: random.Random
) -> None:
    one, _ = scheduler(per_agent=3, busy_share=0.4, ordering=ordering)
    waiting: list[PendingRequest] = []
    calls: list[PendingRequest] = []
    blocked: set[tuple[Priority, Route]] = set()
    now = 0.0
    for kind, number in steps:
        now += number / 1000
        if kind <= 3:
            request = asking(
                PRIORITIES[number % 3], f"agent-{number % 5}", f"route-{number % 3}", now + chance.choice([0.3, 5, 50])
            )
            one.put(request)
            waiting.append(request)
        elif kind <= 5:
            request_ = one.first(now)
            if request_ is None:
                continue
            assert request_ in waiting
            assert (request_.priority, request_.route) not in blocked
            assert sum(call.agent_id == request_.agent_id for call in calls) < 3
            if chance.random() < 0.2:
                one.block(request_, Busy("route"), now)
                blocked |= {(other.priority, other.route) for other in waiting if other.route == request_.route}
            else:
                one.start(request_, now)
                waiting.remove(request_)
                calls.append(request_)
        elif kind == 6 and calls:
            ended = calls.pop(number % len(calls))
            one.end(ended, now)
        elif kind == 7:
            late = one.take_late(now, now)
            assert all(request.dispatch_by <= now for request in late)
            assert all(request.dispatch_by > now - 0.06 for request in waiting if request not in late)
            waiting = [request for request in waiting if request not in late]
        elif kind == 8:
            for _, route in blocked:
                one.open(route, 0.0)
            blocked.clear()
        else:
            one.maintain(now)  # an empty lane is dropped, and with it that it was blocked
            blocked = {(priority, route) for priority, route in blocked if route in one._classes[priority].lanes}
        assert len(one) == len(waiting)
        assert set(one) == set(waiting)
        assert one.waiting() == {p: sum(request.priority == p for request in waiting) for p in PRIORITIES}
    for _, route in blocked:
        one.open(route, 0.0)
    for call in calls:
        one.end(call, now)
    calls = []
    while waiting:  # everything goes in the end
        one.maintain(now := now + 60)
        while (request_ := take(one, now)) is not None:
            waiting.remove(request_)
            calls.append(request_)
        assert calls
        for call in calls:
            one.end(call, now)
        calls = []
    one.maintain(now + 100)
    assert (len(one), len(one.agents)) == (0, 0)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_no_class_and_no_agent_starves(seed: int, agent_count: int) -> None:
    """Twice as much comes as may go; whoever waits goes within a bound that its class's weight and the agents give."""
    chance = random.Random(seed)
    one, _ = scheduler(per_agent=10_000)
    names = [f"agent-{n}" for n in range(agent_count)]
    popularity = [chance.random() ** 3 + 0.01 for _ in names]
    first_since: dict[tuple[Priority, str], int] = {}
    waiting: Counter[tuple[Priority, str]] = Counter()
    for step in range(400):
        for _ in range(2):
            who = chance.choice(PRIORITIES), chance.choices(names, popularity)[0]
            one.put(asking(*who))
            waiting[who] += 1
            first_since.setdefault(who, step)
        request = take(one)
        assert request is not None
        served = request.priority, request.agent_id
        waiting[served] -= 1
        first_since[served] = step
        if not waiting[served]:
            del first_since[served]
        for (priority, _), since in first_since.items():
            assert step - since <= 12 / WEIGHTS[priority] * (agent_count + 2)


def test_agents_without_number_leave_nothing_behind() -> None:
    one, _ = scheduler()
    largest = 0
    for n in range(40_000):
        now = n / 1000
        one.put(asking(agent=f"agent-{n}", route=f"route-{n % 500}"))
        request = take(one, now)
        assert request is not None
        one.end(request, now)
        if n % 1000 == 0:
            one.maintain(now)
            largest = max(largest, len(one.agents))
    assert largest <= 32_000  # half a minute of them
    one.maintain(300.0)
    assert len(one.agents) == 0
    assert one.waiting_by_route() == {}


def test_the_demand_is_told_by_route_and_class() -> None:
    one, _ = scheduler()
    for priority, route in (("high", "x"), ("high", "x"), ("low", "x"), ("low", "y")):
        one.put(asking(priority, route=route))  # type: ignore[arg-type]
    assert one.waiting_by_route() == {
        Route("p", "x"): {"high": (2, 20), "low": (1, 10)},
        Route("p", "y"): {"low": (1, 10)},
    }


def test_an_agent_without_a_connection_comes_back_with_its_own_call_or_its_time_and_with_nothing_else() -> None:
    one, _ = scheduler()
    waits = [asking(agent="full") for _ in range(3)]
    for request in waits:
        one.put(request)
    assert take(one) is waits[0]
    assert one.first(0.0) is waits[1]
    one.block(waits[1], Busy("agent", retry_in_s=30.0), 0.0)
    one.open(Route("p", "r"), 0.0)
    assert one.first(1.0) is None
    one.end(waits[0], 2.0)
    assert one.first(2.0) is waits[1]
    one.block(waits[1], Busy("agent", retry_in_s=28.0), 2.0)
    assert one.first(29.9) is None
    assert one.first(30.0) is waits[1]
