"""How true the time is that a waiting request is told: 1,000 random ones a world, on a clock that jumps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ops.simulation.providers import PaperProviders
from ops.simulation.virtual_loop import run_virtually
from streams.flow import queue_states
from streams.pipeline import PendingRequest
from streams.waits import Reason
from tests.support.fixtures import Measured
from tests.support.requests import rules
from tests.unit.flow.waiting_world import Arrivals, LimitedProviders, any_of, foretell, share_within
from topics.names import PRIORITIES


def taking(mean_s: float, seed: int = 7) -> Callable[[PendingRequest], float]:
    """Calls of random length: half of the mean for sure, the rest exponential."""
    rng = random.Random(seed)
    return lambda _: mean_s / 2 + rng.expovariate(2 / mean_s)


@dataclass(frozen=True, slots=True)
class World:
    name: str
    arrivals: Arrivals
    at_once: int
    per_s: float
    warm_s: float
    slots: int | None = 10
    call_s: float = 0.5
    limit_per_s: float | None = None
    connections: int = 1_000_000
    reason: Reason = "endpoint_slots"
    rate_per_s: float = 1e6
    most_in_flight: int = 1_000


ALL = PRIORITIES
WORLDS = [
    World("drains, one class", any_of(20, ["normal"]), 2_000, 0, 20, reason="endpoint_slots"),
    World("drains, three classes", any_of(50, ALL), 3_000, 0, 20, reason="endpoint_slots"),
    World("drains, few agents send most", any_of(50, ALL, skew=3), 2_000, 0, 20, reason="endpoint_slots"),
    World("overload, three classes", any_of(50, ALL), 2_000, 20, 30, reason="endpoint_slots"),
    World("at capacity, many agents", any_of(300, ALL), 1_500, 18, 30, reason="endpoint_slots"),
    World("two models", any_of(40, ALL, ["small", "large"]), 3_000, 0, 20, reason="endpoint_slots"),
    World(
        "a limit of 10 a second, in grants of 2 s",
        any_of(40, ALL),
        1_500,
        5,
        20,
        limit_per_s=10,
        reason="provider_limit",
    ),
    World("a limit of 1 a second", any_of(40, ALL), 1_200, 0.5, 90, limit_per_s=1, reason="provider_limit"),
    World(
        "admission of 30 a second", any_of(40, ALL), 1_500, 0, 20, slots=None, rate_per_s=30, reason="admission_rate"
    ),
    World(
        "the worker's own calls", any_of(40, ALL), 1_500, 0, 20, slots=None, most_in_flight=10, reason="worker_calls"
    ),
    World(
        "agents of two connections",
        any_of(10, ["normal"]),
        1_500,
        0,
        20,
        limit_per_s=1000,
        connections=2,
        reason="agent_connections",
    ),
]


OFTEN = {
    "drains, three classes",
    "a limit of 10 a second, in grants of 2 s",
    "admission of 30 a second",
    "agents of two connections",
}
"""In `make test`: one of each kind of wait."""


@pytest.mark.parametrize(
    "world",
    [pytest.param(each, id=each.name, marks=() if each.name in OFTEN else pytest.mark.long) for each in WORLDS],
)
def test_a_predicted_wait_is_within_30_percent_for_80_percent(
    world: World, monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    monkeypatch.setattr(queue_states, "perf_counter", lambda: 0.0)  # no picture is used twice
    providers = (
        PaperProviders(world.slots, 0.1, taking(world.call_s))
        if world.limit_per_s is None
        else LimitedProviders(world.limit_per_s, 2.0, world.call_s, world.connections)
    )
    held = rules(rate_per_s=world.rate_per_s, most_in_flight=world.most_in_flight, refuse_early=False)
    told = run_virtually(
        foretell(held, providers, world.arrivals, at_once=world.at_once, per_s=world.per_s, warm_s=world.warm_s)
    )
    assert len(told) >= 500
    share = share_within(told)
    unknown = sum(each.state.predicted_s is None for each in told)
    reasons = Counter(each.state.reason for each in told)
    measured(f"{share:.0%} of {len(told)} within 30 %, {unknown} without a time; {dict(reasons)}")
    assert share >= 0.8
    assert reasons[world.reason] > 0.8 * len(told)
