"""How fast requests may be dispatched: a token bucket that never gives one too many.

The generic cell rate algorithm (ITU-T I.371, 1993): all that is kept is the moment at which the bucket will be full again,
as a whole number of nanoseconds. Nothing is refilled and nothing is rounded twice, so that no window of w seconds sees more
than `burst + rate * w`.
"""

from __future__ import annotations

from math import ceil

_NS = 1_000_000_000


class TokenBucket:
    """`rate_per_s` tokens a second, at most `burst` at once. Times are seconds of a clock that should be monotonic.

    A clock that is set back costs nothing but the step: what was in the bucket is still in it. One that is set forward fills
    it, at most.
    """

    __slots__ = ("_depth_ns", "_full_at", "_interval_ns", "_latest")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._interval_ns = ceil(_NS / rate_per_s)  # rounded up: rather a token in a billion too few
        self._depth_ns = self._interval_ns * burst
        self._full_at = 0
        self._latest = 0

    def take(self, now: float, count: int = 1) -> None:
        """Take tokens that are there: look at `available` first."""
        at = self._at(now)
        self._full_at = max(self._full_at, at) + count * self._interval_ns

    def available(self, now: float) -> int:
        """How many tokens may be taken now."""
        at = self._at(now)
        missing_ns = max(0, self._full_at - at)
        return (self._depth_ns - missing_ns) // self._interval_ns

    def next_in_s(self, now: float) -> float:
        """Seconds until there is a token; 0 if there is one."""
        at = self._at(now)
        missing_ns = self._full_at - at
        return max(0, missing_ns + self._interval_ns - self._depth_ns) / _NS

    def _at(self, now: float) -> int:
        at = int(now * _NS)
        if at < self._latest:  # set back
            self._full_at -= self._latest - at
        self._latest = at
        return at
