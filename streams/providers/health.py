"""Whether an endpoint gets calls: what its checks say, what its calls say, and what its operator says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streams.providers.breaker import Breaker

EndpointState = Literal["healthy", "half_open", "open", "unhealthy", "draining"]


@dataclass(slots=True)
class Health:
    """One endpoint's health. It begins healthy: the first calls need not wait for a check.

    `unhealthy_after` failed checks in a row make it unhealthy, `healthy_after` good ones healthy again; the breaker judges by
    the calls. The methods that take in news return whether the endpoint's state has changed by it, so that each change is
    logged once.
    """

    breaker: Breaker
    unhealthy_after: int
    healthy_after: int
    draining: bool = False
    """Its operator wants it to get no new calls."""
    checks_say: Literal["healthy", "unhealthy"] = "healthy"
    _in_a_row: int = 0
    """Checks that said the opposite of `checks_say`, since the last one that agreed."""

    @property
    def state(self) -> EndpointState:
        if self.draining:
            return "draining"
        if self.checks_say == "unhealthy":
            return "unhealthy"
        return "healthy" if self.breaker.state == "closed" else self.breaker.state

    def usable(self) -> bool:
        """Whether a call may begin now."""
        return not self.draining and self.checks_say == "healthy" and self.breaker.allows()

    def checked(self, well: bool, now: float) -> bool:
        before = self.state
        if well == (self.checks_say == "healthy"):
            self._in_a_row = 0
        else:
            self._in_a_row += 1
            if self._in_a_row >= (self.healthy_after if well else self.unhealthy_after):
                self.checks_say = "healthy" if well else "unhealthy"
                self._in_a_row = 0
        self.breaker.checked(well, now)
        return self.state != before

    def recorded(self, began: int, failed: bool, now: float) -> bool:
        before = self.state
        self.breaker.record(began, failed, now)
        return self.state != before

    def drain(self, draining: bool) -> bool:
        changed, self.draining = draining != self.draining, draining
        return changed

    def next_check_s(self, interval_s: float, now: float) -> float:
        """Seconds until the next check: at the interval, or earlier where an open breaker waits for it."""
        due_s = self.breaker.check_due_s(now)
        return interval_s if due_s is None else min(interval_s, due_s)
