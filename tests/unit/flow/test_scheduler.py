"""The scheduler against an obvious model, and its promises over random arrivals."""

from __future__ import annotations

from collections import Counter

import pytest

from streams.flow.ordering import Ordering
from streams.limits import Route
from streams.pipeline import Busy, Scope
from tests.unit.flow.scheduler_rig import asking, drain, scheduler, take
from topics.names import PRIORITIES

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
    one.open(Route("p", "r"), 0.0)
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
    one.open(Route("p", "r"), 0.0)  # the route has room: that says nothing of the model
    assert [request.agent_id for request in drain(one)] == ["new"]
    assert one.first(4.9) is None
    one.open(Route("p", "r", "dead"), 0.0)
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
