"""The age of a group member's last heartbeat: whether its partitions, and what it leads, are still its own."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Heartbeat:
    """Of one membership. `session_s`: after that long without a heartbeat the group gives what it has to others."""

    session_s: float
    last_at: float | None = None
    """Monotonic time of the last heartbeat that the broker accepted, or of joining; None before."""

    def beat(self) -> None:
        """The broker has accepted a heartbeat just now."""
        self.last_at = time.monotonic()

    def fresh(self) -> bool:
        """Whether the group has heard of this member within its session. Not before it has joined."""
        return self.last_at is not None and time.monotonic() - self.last_at < self.session_s
