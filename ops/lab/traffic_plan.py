"""The lab's load: light, of many agents and all classes, with calls that take long and requests that ask the same. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from topics.names import PRIORITIES, Priority

AGENTS: Final = 40
PROVIDER_OF: Final = {"small": "limited", "large": "open"}
"""Which provider has which model; `limited` has a limit."""

REQUEST_TIMEOUT_S: Final = 300.0
"""Long, so that what a fault delays is answered late and not `expired`."""

ANSWER_TOKENS: Final = 200
"""About 1 KB of text, so that caches fill."""

_LIMITED_SHARE: Final = 0.2
_SLOW_SHARE: Final = 0.04
_REPEAT_SHARE: Final = 0.05
_UNCACHED_SHARE: Final = 0.5
"""Without the cache a call that is made again is seen to be paid again."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request ready to be sent."""

    priority: Priority
    agent_id: str
    value: dict[str, Any]


def plan(seed: int) -> Iterator[Planned]:
    """Requests without end; the same seed gives the same ones."""
    rng = random.Random(f"{seed} load")
    recent: list[dict[str, Any]] = []
    number = 0
    while True:
        number += 1
        (priority,) = rng.choices(PRIORITIES, (2, 6, 2))
        agent_id = f"agent-{rng.randrange(AGENTS)}"
        value: dict[str, Any] = {"request_id": f"r-{number:06d}", "agent_id": agent_id, "timeout_s": REQUEST_TIMEOUT_S}
        if recent and rng.random() < _REPEAT_SHARE:
            value["payload"] = rng.choice(recent)
        else:
            model = "small" if rng.random() < _LIMITED_SHARE else "large"
            latency_ms = round(rng.uniform(3_000, 9_000) if rng.random() < _SLOW_SHARE else rng.uniform(20, 300))
            value["payload"] = {
                "model": model,
                "messages": [{"role": "user", "content": f"Question {number} of seed {seed}?"}],
                "max_tokens": ANSWER_TOKENS,
                "headrace_sim": {"id": f"p-{number:06d}", "completion_tokens": ANSWER_TOKENS, "latency_ms": latency_ms},
            }
            if rng.random() < _UNCACHED_SHARE:
                value["cache"] = {"mode": "off"}
            else:
                recent = [*recent[-20:], value["payload"]]
        yield Planned(priority, agent_id, value)
