"""The scheduler against an obvious model, and its promises over random arrivals."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.agents import AgentRules, Agents
from streams.flow.ordering import Ordering
from streams.flow.scheduler import ClassRules, Scheduler
from streams.limits import Route
from streams.limits.token_estimate import Estimate
from streams.pipeline import Busy, PendingRequest, Scope
from streams.slots import Slots
from tests.unit.flow.samples import pending
from topics.names import PRIORITIES, Priority

MB = 1_000_000
WEIGHTS: dict[Priority, int] = {"high": 8, "normal": 3, "low": 1}


def scheduler(
    *,
    slots: int = 1000,
    high_share: float = 0.1,
    per_agent: int = 50,
    busy_share: float = 1.0,
    ordering: Ordering = "none",
) -> tuple[Scheduler, Slots]:
    classes = {priority: ClassRules(weight, 10_000, 100 * MB) for priority, weight in WEIGHTS.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, busy_share, per_agent, 10_000, 150 * MB), 0.0)
    held = Slots(slots, high_share)
    return Scheduler(classes, agents, held, ordering), held


def asking(
    priority: Priority = "normal", agent: str = "a", route: str = "r", dispatch_by: float = 1e6
) -> PendingRequest:
    request = pending(priority=priority, agent=agent, dispatch_by=dispatch_by)
    request.route, request.estimate = Route("p", route), Estimate(10)
    return request


def take(one: Scheduler, now: float = 0.0) -> PendingRequest | None:
    request = one.first(now)
    if request is not None:
        one.start(request, now)
    return request


def drain(one: Scheduler) -> list[PendingRequest]:
    taken = []
    while (request := take(one)) is not None:
        taken.append(request)
    return taken


# ---- shares


def test_while_all_wait_each_class_gets_its_weights_share() -> None:
    one, _ = scheduler(per_agent=10_000)
    for n in range(1200):
        for priority in PRIORITIES:
            one.put(asking(priority, f"agent-{n % 10}"))
    served = Counter(request.priority for request in [take(one) for _ in range(1200)] if request)
    assert served == {"high": 800, "normal": 300, "low": 100}


def test_a_class_that_had_nothing_is_owed_nothing() -> None:
    one, _ = scheduler(per_agent=10_000)
    for _ in range(400):
        one.put(asking("low"))
    for _ in range(300):
        take(one)
    for _ in range(100):
        one.put(asking("high"))
    served = Counter(request.priority for request in [take(one) for _ in range(90)] if request)
    assert 9 <= served["low"] <= 11


def test_agents_take_turns_whatever_they_have_waiting() -> None:
    one, _ = scheduler()
    for agent, count in (("noisy", 40), ("a", 3), ("b", 3)):
        for _ in range(count):
            one.put(asking(agent=agent))
    assert [request.agent_id for request in drain(one)][:9] == ["noisy", "a", "b"] * 3


def test_of_two_routes_the_agents_of_both_take_turns_together() -> None:
    one, _ = scheduler()
    for agent in ("a", "b", "c"):
        for _ in range(3):
            one.put(asking(agent=agent, route="crowded"))
    for _ in range(9):
        one.put(asking(agent="alone", route="empty"))
    assert Counter(request.agent_id for request in drain(one)[:8]) == {"a": 2, "b": 2, "c": 2, "alone": 2}


# ---- what is blocked


@pytest.mark.parametrize(
    ("scope", "go"),
    [("route", ["other"]), ("class", ["above", "other"]), ("agent", ["above", "below", "neighbour", "other"])],
)
def test_busy_holds_up_whom_it_names_and_nobody_else(scope: Scope, go: list[str]) -> None:
    one, _ = scheduler()
    one.put(asking("normal", "asks"))
    first = one.first(0.0)
    assert first is not None
    one.put(asking("high", "above"))
    one.put(asking("low", "below"))
    one.put(asking("normal", "neighbour"))
    one.put(asking("normal", "other", route="free"))
    one.block(first, Busy(scope), 0.0)
    assert sorted(request.agent_id for request in drain(one)) == go
    one.open(Route("p", "r"))
    assert len(drain(one)) == 5 - len(go)


def test_a_model_that_gets_no_calls_waits_apart_and_holds_up_no_other_of_its_route() -> None:
    one, _ = scheduler()
    dead = [asking(agent="mixed"), asking("low", agent="other")]
    good = [asking(agent="mixed") for _ in range(3)] + [asking(agent="other")]
    for request in dead:
        request.request.payload["model"] = "dead"
    for request in (dead[0], *good, dead[1]):
        one.put(request)
    started = []
    while (request_ := one.first(0.0)) is not None:
        if request_ in dead:
            one.block(request_, Busy("model", retry_in_s=5.0), 0.0)
        else:
            one.start(request_, 0.0)
            started.append(request_)
    assert sorted(map(id, started)) == sorted(map(id, good))
    assert [request.route for request in dead] == [Route("p", "r", "dead")] * 2
    assert one.waiting_by_route() == {Route("p", "r"): {"normal": (1, 10), "low": (1, 10)}}
    one.put(asking(agent="new"))
    one.open(Route("p", "r"))  # the route has room: that says nothing of the model
    assert [request.agent_id for request in drain(one)] == ["new"]
    assert one.first(4.9) is None
    one.open(Route("p", "r", "dead"))
    assert sorted(map(id, drain(one))) == sorted(map(id, dead))


def test_a_model_that_waits_apart_is_looked_at_again_when_its_time_has_come_and_expires_there() -> None:
    one, _ = scheduler()
    first, second = asking(agent="a", dispatch_by=50.0), asking(agent="b", dispatch_by=60.0)
    for request in (first, second):
        one.put(request)
    for _ in range(2):
        request_ = one.first(0.0)
        assert request_ is not None
        one.block(request_, Busy("model", retry_in_s=5.0), 0.0)
    assert one.first(4.9) is None
    assert one.first(5.0) in (first, second)
    assert one.take_late(55.0, 5.0) == [first]
    assert len(one) == 1


def test_a_blocked_route_is_looked_at_again_when_its_time_has_come() -> None:
    one, _ = scheduler()
    one.put(asking())
    first = one.first(0.0)
    assert first is not None
    one.block(first, Busy("route", retry_in_s=2.0), 10.0)
    assert (one.next_retry_at, one.first(11.9)) == (12.0, None)
    assert one.first(12.0) is first


def test_an_agent_at_its_cap_yields_and_comes_back_when_a_call_ends() -> None:
    one, _ = scheduler(per_agent=2)
    greedy = [asking(agent="greedy") for _ in range(4)]
    for request in [*greedy, other := asking(agent="other")]:
        one.put(request)
    assert drain(one) == [greedy[0], other, greedy[1]]
    one.end(greedy[0], 1.0)
    assert drain(one) == [greedy[2]]


def test_slots_kept_for_high_are_given_to_nobody_else_and_do_not_shut_others_out() -> None:
    one, slots = scheduler(slots=20)
    for _ in range(30):
        one.put(asking("low", agent="a"))
    calls = []
    while (request := take(one)) is not None:
        slots.take(request.priority)
        calls.append(request)
    assert len(calls) == 18
    for _ in range(30):
        one.put(asking("high", agent="b"))
    while (request := take(one)) is not None:
        slots.take(request.priority)
    assert (slots.taken, slots.others) == (20, 18)
    slots.give_back("low")
    assert one.first(0.0) is not None


def test_an_agent_over_its_share_waits_behind_the_others_until_it_is_below() -> None:
    one, _ = scheduler(busy_share=0.2)
    hog = [asking(agent="hog") for _ in range(20)]
    for request in hog[:10]:
        one.put(request)
    for _ in range(10):
        take(one, 0.0)
    quiet = [asking(agent=f"q{n}") for n in range(20)]
    for request in [*hog[10:], *quiet]:
        one.put(request)
    assert one.agents["hog"].over is False
    first = take(one, 5.0)  # it has been the only one with calls for 5 s
    assert first is hog[10]
    assert one.agents["hog"].over is True
    assert [take(one, 5.0) for _ in range(20)] == quiet
    for request in hog[:11]:
        one.end(request, 5.0)
    more = [asking(agent=f"q{n}") for n in range(5)]
    for request in more:
        one.put(request)
    one.maintain(40.0)
    assert one.agents["hog"].over is False
    assert {take(one, 40.0) for _ in range(6)} == {*more, hog[11]}


# ---- order


@pytest.mark.parametrize("ordering", ["conversation", "agent"])
def test_a_chain_is_called_one_at_a_time_in_order(ordering: Ordering) -> None:
    one, _ = scheduler(ordering=ordering)
    chain = [asking(agent="a") for _ in range(3)]
    for request in [*chain, asking(agent="b")]:
        one.put(request)
    assert [request.agent_id for request in drain(one)] == ["a", "b"]
    one.end(chain[0], 1.0)
    assert drain(one) == [chain[1]]
    one.remove(chain[2], 1.0)
    one.end(chain[1], 1.0)
    assert (drain(one), len(one)) == ([], 0)


def test_requests_without_a_conversation_have_no_order() -> None:
    one, _ = scheduler(ordering="conversation")
    for _ in range(3):
        request = asking()
        request.request = request.request.model_copy(update={"conversation_id": None})
        one.put(request)
    assert len(drain(one)) == 3


def test_what_is_held_back_by_its_order_expires_too() -> None:
    one, _ = scheduler(ordering="agent")
    first, late, last = asking(), asking(dispatch_by=5.0), asking()
    for request in (first, late, last):
        one.put(request)
    assert drain(one) == [first]
    assert one.take_late(5.1, 5.1) == [late]
    one.end(first, 6.0)
    assert drain(one) == [last]


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
                one.open(route)
            blocked.clear()
        else:
            one.maintain(now)  # an empty lane is dropped, and with it that it was blocked
            blocked = {(priority, route) for priority, route in blocked if route in one._classes[priority].lanes}
        assert len(one) == len(waiting)
        assert set(one) == set(waiting)
        assert one.waiting() == {p: sum(request.priority == p for request in waiting) for p in PRIORITIES}
    for _, route in blocked:
        one.open(route)
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
    one.open(Route("p", "r"))
    assert one.first(1.0) is None
    one.end(waits[0], 2.0)
    assert one.first(2.0) is waits[1]
    one.block(waits[1], Busy("agent", retry_in_s=28.0), 2.0)
    assert one.first(29.9) is None
    assert one.first(30.0) is waits[1]
