"""Tenants share a class by their weights; none starves, and none is held up by what another one has waiting."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.flow.agents import AgentRules, Agents
from streams.flow.scheduler import ClassRules, Scheduler
from streams.flow.tenants import Tenant
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from streams.slots import Slots
from streams.tenants import TenantRules
from tests.unit.flow.scheduler_rig import MB, WEIGHTS, asking, take
from topics.names import Priority


def shared(tenants: Mapping[str, TenantRules], *, busy_share: float = 1.0, most: int = 10_000) -> Scheduler:
    classes = {priority: ClassRules(weight, most, 100 * MB) for priority, weight in WEIGHTS.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, busy_share, 100_000, 10_000, 150 * MB), 0.0)
    return Scheduler(classes, agents, Slots(100_000, 0.0), tenants=tenants)


def weighing(**weights: int) -> dict[str, TenantRules]:
    return {name: TenantRules(name, weight=weight) for name, weight in weights.items()}


def of(tenant: str, agent: str = "a", route: str = "r", priority: Priority = "normal") -> PendingRequest:
    request = asking(priority, agent, route)
    request.tenant = tenant
    return request


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.integers(1, 30), st.integers(1, 3))
@settings(max_examples=12)
def test_weights_are_honoured_within_5_percent_whatever_agents_and_routes_there_are(
    weights: list[int], agents: int, routes: int
) -> None:
    rules = {f"t{n}": TenantRules(f"t{n}", weight=weight) for n, weight in enumerate(weights)}
    one, rounds = shared(rules), 40
    for number, name in enumerate(rules):
        for n in range(weights[number] * rounds * 2):
            # The first tenant has many agents, the others one each: that must not count.
            one.put(of(name, f"agent-{n % agents if number == 0 else 0}", f"route-{n % routes}"))
    taken = Counter(request.tenant for _ in range(sum(weights) * rounds) if (request := take(one)) is not None)
    for number, name in enumerate(rules):
        assert taken[name] == pytest.approx(weights[number] * rounds, rel=0.05, abs=1)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
@settings(max_examples=60)
def test_while_two_tenants_wait_their_weighted_service_differs_by_two_at_most(which: list[int]) -> None:
    rules = weighing(x=1, y=2, z=5)
    names = ["", *rules]
    one = shared(rules)
    waits: Counter[str] = Counter()
    served = {(a, b): 0.0 for a in names for b in names}
    for step in which:
        for tenant in (names[step], names[(step * 7 + 1) % 4]):
            one.put(of(tenant))
            waits[tenant] += 1
        request = take(one)
        assert request is not None
        for a in names:
            for b in names:
                if not (waits[a] and waits[b]):
                    served[a, b] = 0.0
                    continue
                weight = {"": 1, "x": 1, "y": 2, "z": 5}
                served[a, b] += (request.tenant == a) / weight[a] - (request.tenant == b) / weight[b]
        waits[request.tenant] -= 1
        assert all(abs(each) <= 2.0 for each in served.values())


def test_a_flood_of_one_tenant_does_not_hold_up_the_next_request_of_another() -> None:
    one = shared(weighing(noisy=1, quiet=1))
    for n in range(5_000):
        one.put(of("noisy", f"agent-{n % 2_000}"))
    for _ in range(100):
        take(one)
    one.put(of("quiet"))
    assert "quiet" in [request.tenant for _ in range(2) if (request := take(one)) is not None]


def test_a_tenant_is_owed_nothing_for_the_time_in_which_it_had_nothing() -> None:
    one = shared(weighing(late=1, early=1))
    for _ in range(1_000):
        one.put(of("early"))
    for _ in range(500):
        take(one)
    for _ in range(100):
        one.put(of("late"))
    first = Counter(request.tenant for _ in range(40) if (request := take(one)) is not None)
    assert abs(first["late"] - first["early"]) <= 2


def test_a_tenant_whose_route_was_blocked_is_owed_nothing_when_it_opens() -> None:
    one = shared(weighing(down=1, well=1))
    for _ in range(600):
        one.put(of("down", route="dead"))
        one.put(of("well", route="alive"))
        one.put(of("well", route="dead"))
    while (request := one.first(0.0)) is not None:
        if request.route == Route("p", "dead"):
            one.block(request, Busy("route"), 0.0)
        elif one.waiting()["normal"] <= 1_300:
            break
        else:
            one.start(request, 0.0)
    one.open(Route("p", "dead"), 0.0)
    first = Counter(request.tenant for _ in range(100) if (request := take(one)) is not None)
    assert abs(first["down"] - first["well"]) <= 2


def test_agents_of_one_name_in_two_tenants_are_two() -> None:
    one = shared(weighing(a=1, b=1))
    one.put(of("a", "same"))
    one.put(of("b", "same"))
    one.put(of("", "same"))
    assert [one.tenants[name].agents["same"].waiting for name in ("a", "b", "")] == [1, 1, 1]


def test_an_agent_over_its_threshold_waits_behind_its_own_tenants_agents_alone() -> None:
    """Each tenant of one agent is over: 20 % of a worker's time is little for a whole tenant."""
    one = shared(weighing(single=1, many=1), busy_share=0.2)
    hog = of("single", "hog")
    one.put(hog)
    assert take(one) is hog
    for n in range(40):
        one.put(of("single", "hog"))
        one.put(of("many", f"agent-{n}"))
    one.maintain(5.0)
    one.put(of("single", "hog"))
    first = Counter(request.tenant for _ in range(20) if (request := take(one, 5.0)) is not None)
    assert first["single"] == first["many"]


def test_a_tenant_at_its_most_calls_waits_for_one_of_them_and_the_others_go_on() -> None:
    one = shared({"few": TenantRules("few", most_calls=2), "other": TenantRules("other")})
    for _ in range(5):
        one.put(of("few"))
        one.put(of("other"))
    taken = [request for _ in range(10) if (request := take(one)) is not None]
    assert Counter(request.tenant for request in taken) == {"few": 2, "other": 5}
    one.end(next(request for request in taken if request.tenant == "few"), 0.0)
    again = take(one)
    assert again is not None
    assert again.tenant == "few"
    assert take(one) is None


def test_a_tenants_rate_lets_so_many_pass_a_second_and_says_when_to_look_again() -> None:
    one = shared({"slow": TenantRules("slow", rate_per_s=10.0, burst=1)})
    for _ in range(30):
        one.put(of("slow"))
    now, went = 0.0, 0
    while now <= 1.0:
        while take(one, now) is not None:
            went += 1
        assert one.next_retry_at is not None
        now = max(now + 0.001, one.next_retry_at)
    assert 10 <= went <= 11


def test_there_is_room_to_wait_for_a_tenant_that_has_little_when_another_has_filled_what_it_may() -> None:
    one = shared(weighing(noisy=1, quiet=1), most=100)
    while not one.is_full(flood := of("noisy")):
        one.put(flood)
    assert not one.is_full(of("quiet"))


def test_a_tenant_is_full_at_its_requests_or_its_bytes() -> None:
    agents = Agents(AgentRules(MB, MB, MB, 1.0, 10, 10, MB), 0.0)
    tenant = Tenant(TenantRules("t", most_requests=2, most_bytes=1000), agents)
    tenant.requests, tenant.bytes = 1, 600
    assert not tenant.is_full(400)
    assert tenant.is_full(401)
    tenant.requests = 2
    assert tenant.is_full(0)


def cost_us(tenants: int) -> float:
    """Of one request that is blocked, opened and called, with all tenants waiting for the same route."""
    one = shared({f"t{n}": TenantRules(f"t{n}") for n in range(tenants)})
    for n in range(tenants):
        for _ in range(1_200 // tenants + 1):
            one.put(of(f"t{n}"))
    best = 1e9
    for _ in range(5):
        began = time.process_time()
        for _ in range(200):
            request = one.first(0.0)
            assert request is not None
            one.block(request, Busy("route"), 0.0)
            assert one.first(0.0) is None
            one.open(Route("p", "r"), 0.0)
            take(one)
        best = min(best, (time.process_time() - began) / 200)
    return best * 1e6


def test_a_dispatch_costs_no_more_with_hundreds_of_tenants_than_with_a_few() -> None:
    assert cost_us(200) < 4 * cost_us(4)
