"""Stats of flow for people: what it is doing, and what each agent uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from streams.flow.tenants import Tenant
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class AgentStats:
    """One agent, of a tenant or of none (""): its requests that wait and that are under way, their bytes, and its share of its
    tenant's calls' time lately (0 to 1).

    `behind`: it is over a threshold, and its requests queue behind the others'.
    """

    agent_id: str
    tenant: str
    waiting: int
    in_flight: int
    bytes: int
    busy_share: float
    behind: bool


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """Requests of a class that wait for the same: a reason of `streams.waits`, of what ("sim/small, tokens"; may be empty), and
    the age of the oldest of them, from its record's timestamp; None where that is some milliseconds.
    """

    priority: Priority
    reason: str
    of: str
    requests: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class FlowStats:
    """A worker now: requests that wait by class, calls under way, dispatchers, and the agents that use most of it.

    `agents_known` counts those that have, or lately had, a request here.
    """

    waiting: Mapping[Priority, int]
    oldest_wait_s: float
    in_flight: int
    dispatchers: int
    agents_known: int
    agents: Sequence[AgentStats]
    waiting_for: Sequence[WaitingFor] = ()
    """What waits, by class and reason, the most first; empty of a worker that does not tell."""


def agent_stats(tenants: Mapping[str, Tenant], now: float, most: int) -> list[AgentStats]:
    """The agents that use most: by their share of the calls' time, then by what waits."""
    all_of_them = (
        AgentStats(
            agent.agent_id,
            name,
            agent.waiting,
            agent.in_flight,
            agent.bytes,
            tenant.agents.busy_share(agent, now),
            agent.over,
        )
        for name, tenant in tenants.items()
        for agent in tenant.agents
    )
    return nlargest(most, all_of_them, key=lambda stats: (stats.busy_share, stats.waiting, stats.agent_id))
