"""Realizers that change nothing themselves: decisions are only published, or somebody else asks for them."""

from __future__ import annotations

from collections.abc import Callable

from schemas.scaling_decision import ScalingDecision
from streams.scaling.realizers.base import Applied


class ObserveRealizer:
    """Nobody carries decisions out; how many workers there are is what there should be, until people change it."""

    name = "observe"

    def __init__(self, reported: Callable[[], int | None]) -> None:
        self._reported = reported

    async def current(self) -> int | None:
        """Workers that reported last."""
        return self._reported()

    async def apply(self, decision: ScalingDecision) -> Applied:
        return Applied(decision.workers_now, decision.workers_now)


class RemoteRealizer:
    """Somebody else follows the decisions: the supervisor of `headrace up`, or KEDA, which asks for the newest one."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def current(self) -> None:
        """The decisions say it."""

    async def apply(self, decision: ScalingDecision) -> Applied:
        return Applied(decision.workers_wanted, decision.workers_wanted)
