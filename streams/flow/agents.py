"""What each agent uses of a worker: bytes of its requests, calls under way, its share of the calls' time.

An agent over its threshold waits behind the others until it is below. An agent that has had nothing for a while is
forgotten, so that a million of them leave nothing behind.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp
from typing import Final

from streams.flow.held_up import Standstill
from streams.trace.marks import Wait

MEMORY_S = 10.0
"""Time constant with which past calls lose weight."""

_ALL_UNDER_WAY: Final[Wait] = ("agent_calls", "")

_LARGE = 1e40

_LARGEST_EXPONENT = 600.0
"""After hours in which nobody looked the past weighs nothing, whatever is written for it."""

_FORGET_S = 3 * MEMORY_S
"""After that long with nothing an agent's past weighs less than 5 %, and it is forgotten."""


@dataclass(slots=True, eq=False)
class Agent:
    """One agent's use of this worker."""

    agent_id: str
    since: float
    """The weight up to which its calls are in `busy`."""
    waiting: int = 0
    in_flight: int = 0
    bytes: int = 0
    """Of its requests that wait or are under way."""
    busy: float = 0.0
    """Time of its calls, weighted: see Agents."""
    idle: bool = False
    over: bool = False
    """Waits behind the others."""
    warned: bool = False
    held_up: Standstill = field(default_factory=Standstill)
    """How long it could have no further call, for reasons of its own."""
    most_seen: int = 1_000_000_000
    """Calls that it had under way when it was last told that it may have no more."""


@dataclass(frozen=True, slots=True)
class AgentRules:
    """Thresholds of one agent: bytes, share of the calls' time (0 to 1), calls under way, requests that wait.

    Above `warning_bytes` it is logged; above `critical_bytes` or `busy_share` it waits behind the others; what would take it
    above `peak_bytes`, `most_bytes` or `most_waiting` is refused.
    """

    warning_bytes: int
    critical_bytes: int
    peak_bytes: int
    busy_share: float
    most_in_flight: int
    most_waiting: int
    most_bytes: int


class Agents:
    """Every agent that has, or lately had, a request in this worker.

    The time of a call counts with a weight that grows by e in `MEMORY_S`, and only shares are looked at: so the past loses
    weight without anything having to be decayed (forward decay: Cormode, Shkapenyuk, Srivastava, Xu, ICDE 2009).
    """

    def __init__(self, rules: AgentRules, now: float) -> None:
        self.rules = rules
        self._all: dict[str, Agent] = {}
        self._idle: OrderedDict[str, float] = OrderedDict()
        self._over: dict[Agent, None] = {}
        self._began = now
        self._weight_at = now
        self._weight = 1.0
        self._since = 1.0
        self._busy = 0.0
        self._in_flight = 0

    def anew(self) -> Agents:
        """Others under the same rules, none yet."""
        return Agents(self.rules, self._began)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._all.values())

    def __getitem__(self, agent_id: str) -> Agent:
        return self._all[agent_id]

    def find(self, agent_id: str) -> Agent | None:
        return self._all.get(agent_id)

    def add(self, agent_id: str, size: int) -> Agent:
        """A request of the agent has come and waits."""
        agent = self._all.get(agent_id)
        if agent is None:
            agent = self._all[agent_id] = Agent(agent_id, self._weight)
        elif agent.idle:
            agent.idle = False
            del self._idle[agent_id]
        agent.waiting += 1
        agent.bytes += size
        if agent.bytes > self.rules.critical_bytes and not agent.over:
            self._set_over(agent)
        return agent

    def begin(self, agent: Agent, now: float) -> None:
        """One of its waiting requests is called."""
        agent.waiting -= 1
        self._count_calls(agent, 1, now)
        if agent.in_flight == self.rules.most_in_flight:
            agent.held_up.set(_ALL_UNDER_WAY, now)
        if agent.busy > self.rules.busy_share * self._busy and not agent.over:
            self._set_over(agent)

    def charge(self, agent: Agent, seconds: float, now: float) -> None:
        """Time of the worker's own that a request of the agent took, as if a call had taken it."""
        self._count_calls(agent, 0, now)
        agent.busy += seconds / MEMORY_S * self._weight
        self._busy += seconds / MEMORY_S * self._weight
        if agent.busy > self.rules.busy_share * self._busy and not agent.over:
            self._set_over(agent)

    def end(self, agent: Agent, size: int, now: float) -> None:
        """Its call has ended."""
        self._count_calls(agent, -1, now)
        if agent.in_flight == self.rules.most_in_flight - 1:
            agent.held_up.clear(_ALL_UNDER_WAY, now)
        agent.bytes -= size
        if not (agent.waiting or agent.in_flight):
            self._rest(agent, now)

    def remove(self, agent: Agent, size: int, now: float) -> None:
        """One of its waiting requests is called no more."""
        agent.waiting -= 1
        agent.bytes -= size
        if not (agent.waiting or agent.in_flight):
            self._rest(agent, now)

    def busy_share(self, agent: Agent, now: float) -> float:
        """Its share of the calls' time, lately; 0 to 1."""
        self._count_calls(agent, 0, now)
        return agent.busy / self._busy if self._busy > 0 else 0.0

    def recover(self, now: float) -> list[Agent]:
        """The agents that were over a threshold and are below all of them again. Cheap: few can be over at a time."""
        rules = self.rules
        below = [
            agent
            for agent in self._over
            if agent.bytes <= rules.critical_bytes and self.busy_share(agent, now) <= rules.busy_share
        ]
        for agent in below:
            agent.over = False
            del self._over[agent]
        return below

    def forget(self, now: float) -> None:
        """Drop the agents that have been idle for long, and keep the weights small."""
        while self._idle:
            agent_id, since = next(iter(self._idle.items()))
            if now - since < _FORGET_S:
                break
            del self._idle[agent_id]
            self._over.pop(self._all.pop(agent_id), None)
        if self._weight > _LARGE:
            self._scale_down(now)

    def _count_calls(self, agent: Agent, change: int, now: float) -> None:
        if now > self._weight_at:
            self._weight_at = now
            self._weight = exp(min((now - self._began) / MEMORY_S, _LARGEST_EXPONENT))
        weight = self._weight
        agent.busy += agent.in_flight * (weight - agent.since)
        agent.since = weight
        agent.in_flight += change
        self._busy += self._in_flight * (weight - self._since)
        self._since = weight
        self._in_flight += change

    def _scale_down(self, now: float) -> None:
        """Begin the weights anew; an hour of them would pass what a float holds."""
        for agent in self._all.values():
            self._count_calls(agent, 0, now)
            agent.busy /= self._weight
            agent.since = 1.0
        self._busy /= self._weight
        self._since = self._weight = 1.0
        self._began = self._weight_at = now

    def _set_over(self, agent: Agent) -> None:
        agent.over = True
        self._over[agent] = None

    def _rest(self, agent: Agent, now: float) -> None:
        agent.idle = True
        self._idle[agent.agent_id] = now
