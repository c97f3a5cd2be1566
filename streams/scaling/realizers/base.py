"""A realizer makes the number of workers that decisions want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from schemas.scaling_decision import ScalingDecision
from streams.errors import HeadraceError


class RealizeError(HeadraceError):
    """A decision cannot be carried out: one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Workers that were asked for before and now."""

    before: int
    after: int


class Realizer(Protocol):
    """Carries decisions out. Every method may be called again after it failed."""

    @property
    def name(self) -> str:
        """As in the setting."""

    async def current(self) -> int | None:
        """How many workers it was last asked to make, by decisions or by others; None where only decisions ask.

        Raises RealizeError.
        """

    async def apply(self, decision: ScalingDecision) -> Applied:
        """Make it as many as the decision wants. May take as long as a worker's start or drain, and may be cancelled.

        Nothing changes where it is so already. Raises RealizeError.
        """
