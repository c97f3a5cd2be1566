"""What a running worker says of its agents, read from its /agents."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from streams.flow.stats import AgentStats, FlowStats, WaitingFor
from topics.names import Priority

_STATS = TypeAdapter(FlowStats)


async def look(address: str) -> FlowStats:
    """The busiest agents of the worker at HOST:PORT. Raises OSError, in words, where no worker answers."""
    try:
        async with (
            ClientSession(timeout=ClientTimeout(5)) as session,
            session.get(f"http://{address}/agents") as answer,
        ):
            answer.raise_for_status()
            return _STATS.validate_json(await answer.read())
    except (ClientError, TimeoutError, ValueError, ValidationError) as error:
        raise OSError(f"no worker answers at {address}: its log line `ready` names its address") from error


def together(stats: Sequence[FlowStats]) -> FlowStats:
    """Several workers as one: what waits and is under way adds up; an agent's share of call time counts by each one's calls.

    `agents_known` is the most that any of them knows: they may know the same ones.
    """
    waiting: Counter[Priority] = Counter()
    by_agent: dict[str, list[tuple[AgentStats, int]]] = defaultdict(list)
    for each in stats:
        waiting.update(each.waiting)
        for agent in each.agents:
            by_agent[agent.agent_id].append((agent, each.in_flight))
    calls = sum(each.in_flight for each in stats)
    agents = [_one(seen, calls, len(stats)) for seen in by_agent.values()]
    agents.sort(key=lambda agent: (agent.busy_share, agent.waiting, agent.agent_id), reverse=True)
    return FlowStats(
        waiting=dict(waiting),
        waiting_for=_waiting_for(stats),
        oldest_wait_s=max((each.oldest_wait_s for each in stats), default=0.0),
        in_flight=calls,
        dispatchers=sum(each.dispatchers for each in stats),
        agents_known=max(len(agents), *(each.agents_known for each in stats), 0),
        agents=agents,
    )


def _waiting_for(stats: Sequence[FlowStats]) -> list[WaitingFor]:
    found: dict[tuple[Priority, str, str], WaitingFor] = {}
    for each in (line for one in stats for line in one.waiting_for):
        key = (each.priority, each.reason, each.of)
        other = found.get(key)
        if other is None:
            found[key] = each
        else:
            oldest_s = max(each.oldest_s or 0.0, other.oldest_s or 0.0)
            found[key] = replace(each, requests=each.requests + other.requests, oldest_s=oldest_s)
    return sorted(found.values(), key=lambda each: -each.requests)


def _one(seen: Sequence[tuple[AgentStats, int]], calls: int, workers: int) -> AgentStats:
    shares = sum(agent.busy_share * (part if calls else 1) for agent, part in seen)
    first = seen[0][0]
    return replace(
        first,
        waiting=sum(agent.waiting for agent, _ in seen),
        in_flight=sum(agent.in_flight for agent, _ in seen),
        bytes=sum(agent.bytes for agent, _ in seen),
        busy_share=shares / (calls or workers),
        behind=any(agent.behind for agent, _ in seen),
    )
