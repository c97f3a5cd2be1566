"""What the scheduler costs a request, with much waiting."""

from __future__ import annotations

import time

from streams.flow.agents import AgentRules, Agents
from streams.flow.concurrency import Slots
from streams.flow.scheduler import ClassRules, Scheduler
from streams.pipeline import PendingRequest
from tests.unit.flow.samples import pending
from topics.names import PRIORITIES, Priority

AGENTS, WAITING, ROUNDS = 10_000, 100_000, 50_000
MB = 1_000_000


def requests(count: int) -> list[PendingRequest]:
    made = [pending(priority=PRIORITIES[n % 3], dispatch_by=2000.0 + n % 900 / 10) for n in range(count)]
    for n, request in enumerate(made):
        request.agent_id, request.route, request.size = f"agent-{n * 7919 % AGENTS}", f"route-{n % 4}", 500
    return made


def test_enqueue_and_dequeue_cost_little_however_much_waits() -> None:
    weights: dict[Priority, int] = {"high": 8, "normal": 3, "low": 1}
    classes = {priority: ClassRules(weight, WAITING * 2, 10_000 * MB) for priority, weight in weights.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, 0.2, 50, WAITING, 150 * MB), 0.0)
    scheduler = Scheduler(classes, agents, Slots(1000, 0.1))
    for request in requests(WAITING):
        scheduler.put(request)
    best_us = 1e9
    for attempt in range(3):
        fresh = requests(ROUNDS)
        began = time.process_time()
        for n, request in enumerate(fresh):
            now = attempt * 60 + n / 1000
            scheduler.put(request)
            going = scheduler.first(now)
            assert going is not None
            scheduler.start(going, now)
            scheduler.end(going, now)
        best_us = min(best_us, (time.process_time() - began) / ROUNDS * 1e6)
        assert len(scheduler) == WAITING
    assert best_us <= 20
