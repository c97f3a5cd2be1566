"""When a worker sends its next demand to the grantor: at once when a call begins to wait, soon after a use, else seldom."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

_AT_ONCE_S = 0.02
_USED_S = 0.25
_WAITS_STILL_S = 0.5
_ALIVE_S = 3.0


@dataclass(slots=True, eq=False)
class DemandSchedule:
    """Of one worker, for one provider and model. Times are any clock's that runs."""

    _at: float = -inf
    _knows: bool = False
    """Whether the grantor knows of the call that waits now."""

    def served(self) -> None:
        """A call was reserved: the next one that waits is another."""
        self._knows = False

    def due_at(self, waits: bool, changed: bool, urgent: bool = False) -> float:
        """When the next demand is due. `urgent`: others may wait for what changed."""
        if urgent or (waits and not self._knows):
            return self._at + _AT_ONCE_S
        return self._at + (_USED_S if changed else _WAITS_STILL_S if waits else _ALIVE_S)

    def sent(self, now: float, waits: bool) -> None:
        self._at, self._knows = now, waits

    def confirmed(self, acked: bool) -> None:
        self._knows = self._knows and acked
