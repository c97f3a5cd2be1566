"""Dispatch on a clock that jumps, with paper providers, and what it tells of the requests that wait there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.simulation.providers import PaperCall, PaperProviders
from streams.flow.dispatch import Dispatch
from streams.flow.rules import FlowRules
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.waits import QueueState
from tests.support.requests import pending
from topics.names import Priority


class Answers:
    """The end: notes who was answered."""

    def __init__(self) -> None:
        self.outcomes: dict[PendingRequest, Outcome] = {}

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.outcomes[request] = outcome

    def abandon(self, request: PendingRequest) -> None:
        raise AssertionError("nothing moves away on paper")


class LimitedProviders(PaperProviders):
    """As if granted: so many calls a second of each route, in grants of `every_s` seconds; and agents with few connections."""

    def __init__(self, per_s: float, every_s: float, duration_s: float, connections: int = 1_000_000) -> None:
        super().__init__(None, 0.0, lambda _: duration_s)
        self._left: dict[str, float] = {}
        self._granted_at: dict[str, float] = {}
        self._per_s, self._every_s = per_s, every_s
        self._connections = connections
        self.held: dict[str, int] = {}

    def reserve(self, request: PendingRequest) -> PaperCall | Busy:
        if self.held.get(request.agent_id, 0) >= self._connections:
            return Busy("agent", 60.0, "agent_connections")
        now, group = asyncio.get_running_loop().time(), request.route.group
        if self._granted_at.get(group, -1e9) + self._every_s <= now:
            self._granted_at[group] = now
            self._left[group] = self._per_s * self._every_s
        if self._left[group] < 1:
            loop = asyncio.get_running_loop()
            loop.call_at(self._granted_at[group] + self._every_s + 1e-6, self._tell, request.route)
            return Busy("route", None, "provider_limit", "requests")
        self._left[group] -= 1
        self.held[request.agent_id] = self.held.get(request.agent_id, 0) + 1
        taken = super().reserve(request)
        assert isinstance(taken, PaperCall)
        release = taken.release

        def give_back() -> None:
            self.held[request.agent_id] -= 1
            release()

        taken.release = give_back  # type: ignore[method-assign]
        return taken


Arrivals = Callable[[random.Random], PendingRequest]


def any_of(
    agents: int, priorities: Sequence[Priority], models: Sequence[str] = ("small",), skew: float = 1.0
) -> Arrivals:
    """Requests of random agents, classes and models; with `skew` above 1 the first agents send most."""

    def make(rng: random.Random) -> PendingRequest:
        agent = int(agents * rng.random() ** skew)
        return pending(
            agent=f"agent-{agent}",
            priority=rng.choice(priorities),
            model=rng.choice(models),
            received_at=0.0,
            dispatch_by=1e9,
        )

    return make


@dataclass(frozen=True, slots=True)
class Foretold:
    """What was told of a request, and how long it then waited."""

    request: PendingRequest
    state: QueueState
    waited_s: float


async def foretell(
    rules: FlowRules,
    providers: PaperProviders,
    arrivals: Arrivals,
    *,
    at_once: int,
    per_s: float,
    warm_s: float,
    most: int = 1_000,
    seed: int = 1,
) -> list[Foretold]:
    """Load for `warm_s` seconds, then a question about `most` random waiting requests; the load goes on until they have gone."""
    rng = random.Random(seed)
    clock = asyncio.get_running_loop().time
    answers = Answers()
    dispatch = Dispatch(rules, providers, answers, clock, clock)
    sent: list[PendingRequest] = [arrivals(rng) for _ in range(at_once)]
    dispatch.accept(sent)

    async def load() -> None:
        while per_s:
            await asyncio.sleep(rng.expovariate(per_s))
            sent.append(arrivals(rng))
            dispatch.accept(sent[-1:])

    loading = asyncio.create_task(load())
    try:
        await asyncio.sleep(warm_s)
        waiting = [each for each in sent if each.dispatched_at is None and each not in answers.outcomes]
        asked = rng.sample(waiting, min(most, len(waiting)))
        at, states = clock(), dispatch.states.tell(asked)
        while any(each.dispatched_at is None for each in asked):
            await asyncio.sleep(0.5)
            assert clock() < 100_000
        return [
            Foretold(request, state, (request.dispatched_at or 0.0) - at)
            for request, state in zip(asked, states, strict=True)
        ]
    finally:
        loading.cancel()
        await dispatch.stop()


def share_within(told: Sequence[Foretold], share: float = 0.3, floor_s: float = 0.0) -> float:
    """Of all that were asked for: how many were told a time that was right to this share of what they then waited."""
    good = sum(
        each.state.predicted_s is not None
        and abs(each.state.predicted_s - each.waited_s) <= max(floor_s, share * each.waited_s)
        for each in told
    )
    return good / len(told)
