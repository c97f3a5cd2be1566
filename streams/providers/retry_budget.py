"""How many extra calls failures may cost, so that an outage makes no storm. Pure: time comes as an argument.

Without it, three attempts a request turn an outage into three times the load, at the worst moment. A budget in proportion to
the requests bounds that for any number of attempts (Google SRE book, "Addressing Cascading Failures": per-client retry
budget of 10 %; Finagle's RetryBudget is the same bucket).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RetryBudget:
    """A bucket of extra calls: every request puts in `share`, time puts in `floor_per_s`, every retry takes one.

    It holds at most `burst` and begins full. So in any time, with n requests, at most `burst + share * n + floor_per_s *
    seconds` extra calls are made.
    """

    share: float
    floor_per_s: float
    burst: float
    _left: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self._left = self.burst

    def request(self) -> None:
        """A request makes its first call."""
        self._left = min(self.burst, self._left + self.share)

    def take(self, now: float) -> float:
        """Take one extra call: 0.0 if it may be made; else the seconds after which another try may be worth it."""
        if self._at is not None:
            self._left = min(self.burst, self._left + max(0.0, now - self._at) * self.floor_per_s)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return min(1.0, (1 - self._left) / self.floor_per_s) if self.floor_per_s else 1.0

    def give_back(self) -> None:
        """A call that was taken was not made."""
        self._left = min(self.burst, self._left + 1)
