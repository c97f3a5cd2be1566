"""How many connections one agent's calls may have, and how long a request waits for one of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.pipeline import Owner


@dataclass(slots=True)
class AgentConnections:
    """At most `most` connections an agent. A request whose agent has them all waits at most `wait_s` for one of them."""

    most: int
    wait_s: float
    _held: dict[Owner, int] = field(default_factory=dict)
    _waiting: dict[Owner, tuple[str, float]] = field(default_factory=dict)
    """By agent: its first waiting request, and since when. Only agents that hold connections are in it."""

    def free(self, agent: Owner) -> bool:
        return self._held.get(agent, 0) < self.most

    def take(self, agent: Owner) -> None:
        self._held[agent] = self._held.get(agent, 0) + 1
        self._waiting.pop(agent, None)

    def give_back(self, agent: Owner) -> None:
        left = self._held[agent] - 1
        if left:
            self._held[agent] = left
        else:
            del self._held[agent]
            self._waiting.pop(agent, None)

    def left_s(self, agent: Owner, request: str, now: float) -> float:
        """How long the request, for which there is no connection now, may go on waiting; not above 0: it has waited enough."""
        first, since = self._waiting.get(agent, ("", now))
        if first != request:
            self._waiting[agent] = (request, now)
            return self.wait_s
        return since + self.wait_s - now
