"""How many requests a key makes in a minute. Pure.

Counted by seconds: in no 60 s are there more than the rate, and one is refused only if there were as many in the last 61 s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import floor
from typing import Final

WINDOW_S: Final = 60


@dataclass(slots=True)
class MinuteRate:
    """The requests of one key, at most 62 numbers."""

    _seconds: deque[tuple[int, int]] = field(default_factory=deque)
    """Seconds of the clock with how many requests each had, ascending."""
    _total: int = 0

    def take(self, rate: int, now: float) -> float | None:
        """Count a request if there is room; None, or in how many seconds there is again. `now`: monotonic seconds."""
        second = floor(now)
        while self._seconds and self._seconds[0][0] + WINDOW_S < second:
            self._total -= self._seconds.popleft()[1]
        if self._total >= rate:
            return self._room_in(rate, now)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))
        self._total += 1
        return None

    def left(self, rate: int, now: float) -> tuple[int, float]:
        """How many requests there is room for, and in how many seconds there is for all of them. `now`: monotonic seconds."""
        second = floor(now)
        counted = [(at, count) for at, count in self._seconds if at + WINDOW_S >= second]
        used = sum(count for _, count in counted)
        return max(0, rate - used), (counted[-1][0] + WINDOW_S + 1 - now) if counted else 0.0

    def _room_in(self, rate: int, now: float) -> float:
        left = self._total
        for second, count in self._seconds:
            left -= count
            if left < rate:
                return second + WINDOW_S + 1 - now
        raise AssertionError("a rate of at least 1 has room when nothing is left")
