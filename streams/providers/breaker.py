"""A circuit breaker for one endpoint, on the share of errors among its last calls. Pure: time comes as an argument.

The window holds the last calls, and of them only the recent ones. By count, so that an endpoint that fails wholly is noticed
after as many failures at any rate of calls: in a window of time alone, the good calls before a fault outvote it for half of
the window. By age, so that what happened long ago says nothing.

An open breaker lets nothing through until a check of the endpoint has succeeded (streams/providers/checks.py): no caller's
request is spent on finding out whether a dead endpoint lives. Then it is half-open: a few calls, each of which may open it
again, and it closes when so many in a row were good.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`min_volume` calls among the last `calls` of the last `window_s` seconds, of them a share of at least `error_share`
    failed: open. Checks begin after `open_for_s`; `probes` good calls close it.
    """

    calls: int
    window_s: float
    min_volume: int
    error_share: float
    open_for_s: float
    probes: int


@dataclass(slots=True)
class Breaker:
    """What the endpoint's last calls say of it. Every call that `allows` permitted and that began is one `begin`, and ends in
    one `record` or `forget`.
    """

    policy: BreakerPolicy
    state: State = "closed"
    opened_at: float = 0.0
    """When it opened last, or when its last check failed."""
    _outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    _failures: int = 0
    _probing: int = 0
    _good_probes: int = 0
    _round: int = 0
    """Counts changes of state: what began in an earlier one says nothing about this one."""

    def allows(self) -> bool:
        """Whether a call may begin."""
        if self.state == "closed":
            return True
        return self.state == "half_open" and self._probing < self.policy.probes - self._good_probes

    def begin(self) -> int:
        """A call begins; give what is returned to `record` or `forget`."""
        if self.state == "half_open":
            self._probing += 1
        return self._round

    def record(self, began: int, failed: bool, now: float) -> bool:
        """A call has ended. Whether the state has changed."""
        if began != self._round:
            return False
        if self.state == "half_open":
            self._probing -= 1
            if failed:
                return self._to("open", now)
            self._good_probes += 1
            return self._good_probes >= self.policy.probes and self._to("closed", now)
        self._outcomes.append((now, failed))
        self._failures += failed
        while len(self._outcomes) > self.policy.calls or self._outcomes[0][0] <= now - self.policy.window_s:
            self._failures -= self._outcomes.popleft()[1]
        count = len(self._outcomes)
        too_many = count >= self.policy.min_volume and self._failures >= self.policy.error_share * count
        return failed and too_many and self._to("open", now)

    def forget(self, began: int) -> None:
        """A call ended that says nothing about the endpoint: cancelled, or refused by a rate limit."""
        if began == self._round and self.state == "half_open":
            self._probing -= 1

    def check_due_s(self, now: float) -> float | None:
        """Seconds until an open breaker's endpoint is to be checked; None where no check is needed."""
        return max(0.0, self.opened_at + self.policy.open_for_s - now) if self.state == "open" else None

    def checked(self, well: bool, now: float) -> bool:
        """A check of the endpoint has ended. Whether the state has changed."""
        if self.state != "open":
            return False
        self.opened_at = now  # the next check a whole pause later
        return well and self._to("half_open", now)

    def _to(self, state: State, now: float) -> bool:
        self.state = state
        self._round += 1
        self._outcomes.clear()
        self._failures = self._probing = self._good_probes = 0
        if state == "open":
            self.opened_at = now
        return True
