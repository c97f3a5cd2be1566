"""The age of a group member's last heartbeat: whether its partitions, and what it leads, are still its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_PATIENCE: Final = 3
"""Sessions without a word of the group after which one goes on: it is the group's brokers that are away."""


def time_since_boot() -> float:
    """Seconds that go on while the machine is suspended, which time.monotonic does not on Linux."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(slots=True)
class Heartbeat:
    """Of one membership. `session_s`: after that long without a heartbeat the group gives what it has to others."""

    session_s: float
    last_at: float | None = None
    """Monotonic time at which the last heartbeat that the broker accepted was sent, or of joining; None before."""

    def beat(self, sent_at: float | None = None) -> None:
        """The broker has accepted a heartbeat: one of that monotonic time, or of now."""
        self.last_at = time.monotonic() if sent_at is None else sent_at

    def fresh(self) -> bool:
        """Whether the group has heard of this member within its session. Not before it has joined."""
        return self.last_at is not None and time.monotonic() - self.last_at < self.session_s


class Doubt:
    """Whether this process has stood still for longer than its session (stopped, suspended, starved), and has not heard since
    that its partitions are still its own. What it held may long be another worker's, and is not to be paid a second time.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        turned: Callable[[], float] = time_since_boot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: that of the heartbeat."""
        self._heartbeat = heartbeat
        self._turned = turned
        self._clock = clock
        self._turned_at: float | None = None
        self._since: float | None = None

    def __call__(self) -> bool:
        """To be asked several times a session, or a pause between two questions is taken for a standstill."""
        now, before = self._turned(), self._turned_at
        self._turned_at = now
        session_s = self._heartbeat.session_s
        if before is not None and now - before >= session_s:
            self._since = self._clock()
        if self._since is None:
            return False
        heard_at = self._heartbeat.last_at
        if (heard_at is not None and heard_at > self._since) or self._clock() - self._since > _PATIENCE * session_s:
            self._since = None
        return self._since is not None
