"""What held requests up, by the scheduler's own events: in the words of streams/waits.py, and each moment counted once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.agents import AgentRules, Agents
from streams.flow.scheduler import ClassRules, Scheduler
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from streams.slots import Slots
from streams.tenants import TenantRules
from streams.trace.marks import Marks, Wait
from tests.unit.flow.scheduler_rig import MB, WEIGHTS, asking, take
from topics.names import Priority

TENANT = "acme"


def of_tenant(rules: TenantRules) -> Scheduler:
    classes = {priority: ClassRules(weight, 10_000, 100 * MB) for priority, weight in WEIGHTS.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, 1.0, 50, 10_000, 150 * MB), 0.0)
    return Scheduler(classes, agents, Slots(1_000, 0.0), tenants={TENANT: rules})


def put(one: Scheduler, now: float = 0.0, priority: Priority = "normal") -> PendingRequest:
    request = asking(priority)
    request.tenant, request.marks = TENANT, Marks(0.0)
    one.put(request)
    one.note(request, now)
    return request


def waits_of(request: PendingRequest) -> Mapping[Wait, object]:
    assert request.marks is not None
    return {why: pytest.approx(seconds) for why, seconds in request.marks.waits.items()}


def test_a_tenant_with_all_its_calls_under_way_waits_for_one_of_them() -> None:
    one = of_tenant(TenantRules(TENANT, most_calls=1))
    first, second = put(one), put(one)
    assert take(one, 0.0) is first
    assert take(one, 0.0) is None
    one.end(first, 2.0)
    assert take(one, 2.0) is second
    assert (waits_of(first), waits_of(second)) == ({}, {("tenant_calls", ""): 2.0})


def test_a_tenant_whose_rate_is_used_up_waits_for_that() -> None:
    one = of_tenant(TenantRules(TENANT, rate_per_s=0.5, burst=1))
    first, second = put(one), put(one)
    assert take(one, 0.0) is first
    assert take(one, 0.0) is None
    assert one.next_retry_at is not None
    assert take(one, one.next_retry_at) is second
    assert waits_of(second) == {("tenant_rate", ""): 2.0}


def test_a_blocked_route_has_the_time_that_is_left_of_a_tenant_at_its_limit() -> None:
    one = of_tenant(TenantRules(TENANT, most_calls=1))
    first, second = put(one), put(one)
    assert take(one, 0.0) is first
    assert take(one, 0.0) is None
    one.end(first, 2.0)
    assert one.first(2.0) is second
    one.block(second, Busy("route", lack="provider_limit", of="tokens"), 2.0)
    one.open(Route("p", "r"), 5.0)
    assert take(one, 5.0) is second
    assert waits_of(second) == {("tenant_calls", ""): 2.0, ("provider_limit", "tokens"): 3.0}


@given(
    paused_s=st.floats(0.1, 100.0), open_s=st.floats(0.1, 100.0), in_doubt_s=st.floats(0.1, 100.0), early=st.booleans()
)
def test_a_paused_class_waits_for_an_operator_whatever_else_there_is_not_enough_of(
    paused_s: float, open_s: float, in_doubt_s: float, early: bool
) -> None:
    one = of_tenant(TenantRules(TENANT, most_calls=1))
    request = put(one)
    other = put(one, priority="low")
    now = open_s
    one.pause("normal", True, now)
    if early:  # a worker that doubts its partitions gives nothing either
        one.held_up.look(now, in_doubt=True, short_of_tokens=False)
        one.held_up.look(now + in_doubt_s, in_doubt=False, short_of_tokens=False)
        now += in_doubt_s
    now += paused_s
    one.pause("normal", False, now)
    one.held_up.end(request, now)
    one.held_up.end(other, now)
    doubted: dict[Wait, float] = {("membership", ""): in_doubt_s} if early else {}
    assert waits_of(request) == {("class_paused", ""): paused_s, ("turn", ""): open_s, **doubted}
    assert waits_of(other) == {("turn", ""): open_s + paused_s, **doubted}
