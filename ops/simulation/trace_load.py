"""A trace's requests as load for the simulation: so many times what the slots can take."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ops.load.schedule import Arrival, rate_scale_for, schedule
from ops.load.trace_row import TraceRow
from ops.simulation.run import PaperRequest
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class Load:
    """How a trace is played. Shares are 0 to 1.

    `mix` is the share of each class; `noisy_share` of all requests come from one agent. A call takes `base_s` and
    `token_s` for each token that is generated.
    """

    overload: float
    seconds: float
    agents: int
    slots: int
    mix: dict[Priority, float]
    base_s: float = 0.2
    token_s: float = 0.005
    noisy_share: float = 0.0
    seed: int = 0

    def call_s(self, arrival: Arrival | TraceRow) -> float:
        return self.base_s + self.token_s * arrival.completion_tokens


@dataclass(frozen=True, slots=True)
class Played:
    """What is played: the requests, the capacity of the slots (requests a second), and how long it lasts at most."""

    requests: Sequence[PaperRequest]
    capacity_per_s: float
    seconds: float


def load_of(rows: Sequence[TraceRow], load: Load) -> Played:
    """The first requests of the trace at `overload` times the capacity; a trace too short for that is played to its end."""
    mean_s = sum(map(load.call_s, rows)) / len(rows)
    capacity = load.slots / mean_s
    rate = capacity * load.overload
    seconds = min(load.seconds, (len(rows) - 1) / rate)
    scale = rate_scale_for(rows, rate_per_s=rate, over_s=seconds)
    chance = random.Random(load.seed)
    priorities, shares = list(load.mix), list(load.mix.values())
    arrivals = schedule(rows, rate_scale=scale, duration_s=seconds, agents=load.agents, seed=load.seed)
    requests = [
        PaperRequest(
            arrival.at_s,
            "noisy" if chance.random() < load.noisy_share else arrival.agent_id,
            chance.choices(priorities, shares)[0],
            load.call_s(arrival),
            size=4 * arrival.prompt_tokens + 200,
        )
        for arrival in islice(arrivals, len(rows))
    ]
    return Played(requests, capacity, seconds)
