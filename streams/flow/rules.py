"""What flow holds to, in its own words; streams/flow/build.py makes it from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.flow.agents import AgentRules, Agents
from streams.flow.ordering import Ordering
from streams.flow.pool import PoolRules
from streams.flow.scheduler import ClassRules, Scheduler
from streams.route_shares import RouteRules, RouteShares
from streams.slots import Slots
from streams.tenants import NO_TENANTS, TenantRules
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class FlowRules:
    """One worker's rules; seconds, shares of 0 to 1."""

    classes: Mapping[Priority, ClassRules]
    """In their order, the highest first."""
    agents: AgentRules
    pool: PoolRules
    most_in_flight: int
    high_share: float
    rate_per_s: float
    burst: int
    ordering: Ordering
    merge_inputs: int
    """Inputs of one merged call; 1: nothing is merged."""
    merge_wait_s: float
    refuse_early: bool
    most_inputs: Mapping[str, int] = field(default_factory=dict)
    """Inputs that one call may have, by the provider's name, where it is known."""
    route: RouteRules | None = None
    """None: one provider alone may fill everything."""
    tenants: Mapping[str, TenantRules] = field(default_factory=lambda: NO_TENANTS)


def scheduler_of(rules: FlowRules, now: float, shares: RouteShares | None = None) -> Scheduler:
    """A scheduler with nothing in it. `now` by a monotonic clock; `shares`: what waits by provider, here and elsewhere."""
    slots = Slots(min(rules.most_in_flight, rules.pool.least * rules.pool.batch), rules.high_share)
    return Scheduler(rules.classes, Agents(rules.agents, now), slots, rules.ordering, shares, rules.tenants)
