"""A scheduler of small numbers, and requests for it."""

from __future__ import annotations

from streams.flow.agents import AgentRules, Agents
from streams.flow.ordering import Ordering
from streams.flow.scheduler import ClassRules, Scheduler
from streams.limits import Route
from streams.limits.token_estimate import Estimate
from streams.pipeline import PendingRequest
from streams.slots import Slots
from tests.support.requests import pending
from topics.names import Priority

MB = 1_000_000
WEIGHTS: dict[Priority, int] = {"high": 8, "normal": 3, "low": 1}


def scheduler(
    *,
    slots: int = 1000,
    high_share: float = 0.1,
    per_agent: int = 50,
    busy_share: float = 1.0,
    ordering: Ordering = "none",
) -> tuple[Scheduler, Slots]:
    classes = {priority: ClassRules(weight, 10_000, 100 * MB) for priority, weight in WEIGHTS.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, busy_share, per_agent, 10_000, 150 * MB), 0.0)
    held = Slots(slots, high_share)
    return Scheduler(classes, agents, held, ordering), held


def asking(
    priority: Priority = "normal", agent: str = "a", route: str = "r", dispatch_by: float = 1e6
) -> PendingRequest:
    request = pending(priority=priority, agent=agent, dispatch_by=dispatch_by)
    request.route, request.estimate = Route("p", route), Estimate(10)
    return request


def take(one: Scheduler, now: float = 0.0) -> PendingRequest | None:
    request = one.first(now)
    if request is not None:
        one.start(request, now)
    return request


def drain(one: Scheduler) -> list[PendingRequest]:
    taken = []
    while (request := take(one)) is not None:
        taken.append(request)
    return taken
