"""Which classes are paused, and which endpoints drained: what lasts until somebody takes it back. Pure.

The topic's order decides: of two actions about the same thing the later one holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from schemas.admin import AdminAction, Drain, Pause, Resume, Undrain
from topics.names import Priority

MOST_ENDPOINTS: Final = 1_000
"""Endpoints that are drained at once; more are none of a fleet's."""

WRITTEN_AGAIN_S: Final = 20 * 86_400.0
"""The topic keeps 30 days, and a pause lasts until somebody takes it back."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that lasts. `action` is the record that began it, `at` its time by the broker (Unix seconds)."""

    action: Pause | Drain
    at: float


@dataclass(slots=True)
class FleetOrders:
    """What is in force."""

    paused: dict[Priority, Order] = field(default_factory=dict)
    drained: dict[str, Order] = field(default_factory=dict)
    """By the endpoint as it was named, without a slash at its end."""

    def note(self, action: AdminAction, at: float) -> bool:
        """Take an action, in the topic's order. False where there is no room for it."""
        match action:
            case Pause():
                self.paused[action.priority] = Order(action, at)
            case Resume():
                for priority in [each for each in self.paused if action.priority in (None, each)]:
                    del self.paused[priority]
            case Drain():
                name = named(action.endpoint)
                if name not in self.drained and len(self.drained) >= MOST_ENDPOINTS:
                    return False
                self.drained[name] = Order(action, at)
            case Undrain():
                self.drained.pop(named(action.endpoint), None)
            case _:
                pass
        return True

    def clear(self) -> None:
        self.paused.clear()
        self.drained.clear()

    def fading(self, now: float) -> list[Order]:
        """What is in force and will be forgotten by the topic: it is to be written again."""
        held = (*self.paused.values(), *self.drained.values())
        return [order for order in held if order.at + WRITTEN_AGAIN_S < now]


def named(endpoint: str) -> str:
    """An endpoint's name as orders hold it.

    >>> named("http://10.0.0.7/v1/")
    'http://10.0.0.7/v1'
    """
    return endpoint.rstrip("/")
