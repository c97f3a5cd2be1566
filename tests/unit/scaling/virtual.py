"""Windows and policies for tests on a virtual clock: minute n ends at n * 60 s."""

from dataclasses import replace
from typing import Any

from schemas.scaling_decision import ScalingState, Signals
from streams.scaling.policy import Policy
from streams.settings import load_settings

SPECIFIED = Policy.of(load_settings(environ={}))
"""All by default: the specification."""


def window(minute: int, **figures: Any) -> Signals:
    """The fleet's window that ends with this minute: two idle workers, and what is said otherwise."""
    idle: dict[str, Any] = {
        "workers": 2, "complete": True, "cpu": 0.1, "memory": 0.2, "queued": 0.0, "wait_s": 0.0, "expired": 0.0,
        "answers": 600, "throughput_per_s": 10.0,
    }  # fmt: skip
    return Signals(start_s=(minute - 1) * 60.0, end_s=minute * 60.0, **{**idle, **figures})


def minutes(first: int, last: int, **figures: Any) -> list[Signals]:
    """One window after the other, all alike."""
    return [window(minute, **figures) for minute in range(first, last + 1)]


def policy(**changed: Any) -> Policy:
    return replace(SPECIFIED, **changed)


def state(target: int = 2, **more: Any) -> ScalingState:
    return ScalingState(target, **more)
