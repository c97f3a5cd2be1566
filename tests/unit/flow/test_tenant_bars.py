"""The bar of a shared worker, on a virtual clock: a tenant's p95 beside a flood is at most 1.2 times what it is alone."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from itertools import count

import pytest

from streams.flow.agents import AgentRules, Agents
from streams.flow.scheduler import ClassRules, Scheduler
from streams.pipeline import PendingRequest
from streams.slots import Slots
from streams.tenants import TenantRules
from tests.unit.flow.scheduler_rig import MB, WEIGHTS, asking

SLOTS, CALL_S, LASTS_S = 100, 2.0, 120.0
MOST_WAITING = 3_000
"""What comes beyond is refused, as `queue_full`."""
CAPACITY = SLOTS / CALL_S


def latencies(rates: dict[str, float], agents: dict[str, int], seed: int) -> dict[str, list[float]]:
    """Seconds from arrival to answer, by tenant; Poisson arrivals, exponential calls, one class."""
    chance, numbers = random.Random(seed), count()
    classes = {priority: ClassRules(weight, 100_000, 1_000 * MB) for priority, weight in WEIGHTS.items()}
    rules = AgentRules(1_000 * MB, 1_000 * MB, 1_000 * MB, 0.2, SLOTS, 100_000, 1_000 * MB)
    slots = Slots(SLOTS, 0.0)
    tenants = {name: TenantRules(name) for name in ("noisy", "quiet")}
    one = Scheduler(classes, Agents(rules, 0.0), slots, tenants=tenants)
    events: list[tuple[float, int, str | PendingRequest]] = []
    for tenant, rate in rates.items():
        heappush(events, (chance.expovariate(rate), next(numbers), tenant))
    came: dict[PendingRequest, float] = {}
    took: dict[str, list[float]] = {tenant: [] for tenant in rates}
    maintained = 0.0
    while events and events[0][0] < LASTS_S:
        now, _, event = heappop(events)
        if isinstance(event, str):
            if len(one) < MOST_WAITING or event == "quiet":
                request = asking("normal", f"agent-{chance.randrange(agents[event])}")
                request.tenant = event
                one.put(request)
                came[request] = now
            heappush(events, (now + chance.expovariate(rates[event]), next(numbers), event))
        else:
            slots.give_back("normal")
            one.end(event, now)
            took[event.tenant].append(now - came.pop(event))
        if now - maintained > 0.1:
            one.maintain(now)
            maintained = now
        while slots.has_room("normal") and (going := one.first(now)) is not None:
            one.start(going, now)
            slots.take("normal")
            heappush(events, (now + chance.expovariate(1 / CALL_S), next(numbers), going))
    return took


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


@pytest.mark.parametrize("noisy_agents", [1, 2_000])
def test_beside_a_flood_of_50_times_its_share_p95_is_at_most_a_fifth_longer_than_alone(noisy_agents: int) -> None:
    quiet, share = CAPACITY * 0.4, CAPACITY / 2
    alone = latencies({"quiet": quiet}, {"quiet": 5}, seed=1)["quiet"]
    flood = latencies({"noisy": 50 * share, "quiet": quiet}, {"noisy": noisy_agents, "quiet": 5}, seed=1)["quiet"]
    assert len(flood) > 1_500
    assert p95(flood) <= 1.2 * p95(alone)
