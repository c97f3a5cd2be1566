"""What the scheduler costs a request, with much waiting."""

from __future__ import annotations

import gc
import os
import time

from streams.flow.agents import AgentRules, Agents
from streams.flow.scheduler import ClassRules, Scheduler
from streams.limits import Route
from streams.pipeline import PendingRequest
from streams.slots import Slots
from tests.support.fixtures import Measured
from tests.support.requests import pending
from topics.names import PRIORITIES, Priority

FULL = os.environ.get("TEST_FULL") == "1"
AGENTS, WAITING, ROUNDS = (10_000, 100_000, 20_000) if FULL else (200, 2_000, 1_000)
MOST_US = 5.0 if FULL else 50.0  # a busy machine tells little; the full size is for a quiet one
MB = 1_000_000


def requests(count: int) -> list[PendingRequest]:
    made = [pending(priority=PRIORITIES[n % 3], dispatch_by=2000.0 + n % 900 / 10) for n in range(count)]
    for n, request in enumerate(made):
        request.agent_id, request.route, request.size = f"agent-{n * 7919 % AGENTS}", Route("p", f"route-{n % 4}"), 500
    return made


def test_enqueue_and_dequeue_cost_little_however_much_waits(measured: Measured) -> None:
    weights: dict[Priority, int] = {"high": 8, "normal": 3, "low": 1}
    classes = {priority: ClassRules(weight, WAITING * 2, 10_000 * MB) for priority, weight in weights.items()}
    agents = Agents(AgentRules(120 * MB, 140 * MB, 150 * MB, 0.2, 50, WAITING, 150 * MB), 0.0)
    scheduler = Scheduler(classes, agents, Slots(1000, 0.1))
    for request in requests(WAITING):
        scheduler.put(request)
    best_us = 1e9
    gc.freeze()
    for attempt in range(5):
        fresh, taken = requests(ROUNDS), list[PendingRequest]()
        spent_ns = 0
        for start in range(0, ROUNDS, 10):
            now = attempt * 60 + start / 1000
            began = time.process_time_ns()
            for request in fresh[start : start + 10]:
                scheduler.put(request)
            for _ in range(10):
                going = scheduler.first(now)
                assert going is not None
                scheduler.start(going, now)
                taken.append(going)
            spent_ns += time.process_time_ns() - began
            while taken:
                scheduler.end(taken.pop(), now)
        best_us = min(best_us, spent_ns / ROUNDS / 1000)
        assert len(scheduler) == WAITING
    gc.unfreeze()
    measured(f"enqueue and dequeue {best_us:.2f} us a request, {WAITING:,} waiting of {AGENTS:,} agents")
    assert best_us <= MOST_US
