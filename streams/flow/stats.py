"""Stats of flow for people: what it is doing, and what each agent uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from streams.flow.agents import Agents
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class AgentStats:
    """One agent: its requests that wait and that are under way, their bytes, and its share of the calls' time lately (0 to 1).

    `behind`: it is over a threshold, and its requests queue behind the others'.
    """

    agent_id: str
    waiting: int
    in_flight: int
    bytes: int
    busy_share: float
    behind: bool


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


def agent_stats(agents: Agents, now: float, most: int) -> list[AgentStats]:
    """The agents that use most: by their share of the calls' time, then by what waits."""
    all_of_them = (
        AgentStats(
            agent.agent_id, agent.waiting, agent.in_flight, agent.bytes, agents.busy_share(agent, now), agent.over
        )
        for agent in agents
    )
    return nlargest(most, all_of_them, key=lambda stats: (stats.busy_share, stats.waiting, stats.agent_id))
