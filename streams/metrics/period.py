"""How the time is cut: into intervals, each of which ends with a sample, and windows of several intervals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Lengths in milliseconds; a window is a whole number of intervals. Both begin at multiples of their length on the clock.

    >>> period = Period(interval_ms=10_000, window_ms=60_000)
    >>> period.end_of(60_000), period.end_of(60_001), period.start_of(119_999)
    (60000, 120000, 60000)
    """

    interval_ms: int
    window_ms: int

    @property
    def samples(self) -> int:
        """Samples that one worker sends in a window."""
        return self.window_ms // self.interval_ms

    def end_of(self, at_ms: int) -> int:
        """The end of the window that covers the moment; a window's end is its own."""
        return -(-at_ms // self.window_ms) * self.window_ms

    def start_of(self, at_ms: int) -> int:
        """The last window's end that is not after the moment."""
        return at_ms // self.window_ms * self.window_ms


def moment(unix_ms: int) -> datetime:
    """A time of ours as messages carry it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
