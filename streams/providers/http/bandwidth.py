"""Bytes a second to and from a provider. Pure: time comes as an argument.

What goes out is charged before it is sent, what comes in when it was read: the next read then waits, and TCP's flow control
holds back the rest. Each waits for its own debt, so that nobody has to queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BURST_S: Final = 0.1
"""Seconds of the rate that may pass at once after a quiet time. More would be more than the rate over the first seconds."""

AHEAD_S: Final = 0.5
"""Seconds of debt at which no further calls begin. Some have to be under way while the debt is paid, or the line falls idle
until the next ones are answered.
"""


@dataclass(slots=True)
class Bandwidth:
    """A token bucket of bytes that may run into debt; `per_s` None: unlimited."""

    per_s: float | None
    total: int = 0
    """Bytes charged since the start."""
    _left: float = 0.0
    _at: float = float("-inf")

    def charge(self, size: int, now: float) -> float:
        """Charge the bytes; the seconds to wait before the next ones."""
        self.total += size
        if self.per_s is None:
            return 0.0
        self._left = min(self.per_s * BURST_S, self._left + (now - self._at) * self.per_s) - size
        self._at = now
        return max(0.0, -self._left / self.per_s)

    def wait_s(self, now: float) -> float:
        """The seconds until another call may begin: while more than `AHEAD_S` is owed, none may."""
        if self.per_s is None or self._left >= 0:
            return 0.0
        return max(0.0, -self._left / self.per_s - (now - self._at) - AHEAD_S)

    def passed(self, now: float) -> float:
        """Bytes charged since the start that are paid for."""
        owed = 0.0 if self.per_s is None else max(0.0, -self._left - (now - self._at) * self.per_s)
        return self.total - owed
