"""A circuit breaker: whether calls may begin, by what came of the last ones. Pure: time comes as an argument.

An endpoint has one for itself (its address, its key) and one for each model that is called there, so that a dead model behind a
gateway costs nobody who calls a good one.

    closed --failures, or one that is certain--> open --its pause is over--> half_open --good calls--> closed
                                                  ^------------a failed call-----------/

What opens it: a number of failures in a row, a share of failures among the last calls (by count, so that an endpoint that fails
wholly is noticed after as many failures at any rate of calls; and of them only the recent ones), or one failure that is
certain, such as a key that was refused. Pauses double each time that it opens again. An open one that failures opened waits for
a good check of the endpoint besides (streams/providers/checks.py): no caller's request is spent on finding out whether a dead
endpoint lives. What a check cannot tell (a key, a model) is tried by one call.

Not every failure is the endpoint's: some requests fail wherever they go. A failure that may be of the request's making only makes
the endpoint *suspect* (others are preferred, one call at a time), until it is known what became of the request elsewhere. If it
failed everywhere, it counts only in an unbroken run of `min_volume` requests: a few such requests open nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from streams.backoff import exponential_s
from streams.providers.formats.wire import Fault

State = Literal["closed", "open", "half_open"]

_SUSPECT_S: Final = 1.0
"""How long others are preferred after a failure, where `open_for_s` is not shorter."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`in_a_row` failed calls; or `min_volume` calls among the last `calls` of the last `window_s` seconds, of them a share of at
    least `error_share` failed: open. `probes` good calls close it, one where it was refused.

    Pauses are seconds: `open_for_s`, doubled up to `most_open_for_s`, where it is ill; `refused_for_s`, doubled up to
    `most_refused_for_s`, where its key, its credit or the model was refused.
    """

    calls: int
    window_s: float
    min_volume: int
    error_share: float
    open_for_s: float
    probes: int
    in_a_row: int = 5
    most_open_for_s: float = 60.0
    refused_for_s: float = 30.0
    most_refused_for_s: float = 600.0


@dataclass(slots=True)
class Breaker:
    """What the last calls say. Every call that `allows` permitted and that began is one `begin` and one `end`; between the two
    or after them it is judged at most once, by `succeeded` or `failed`.
    """

    policy: BreakerPolicy
    state: State = "closed"
    fault: Fault = "illness"
    """Why it is open."""
    why: str = ""
    """The same in words."""
    until: float = 0.0
    """When an open one may be tried."""
    in_flight: int = 0
    _openings: int = 0
    """Since it was closed last."""
    _outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    _failures: int = 0
    _run: int = 0
    """Failures since the last good call."""
    _doubtful_run: int = 0
    """The same of those that may be of their request's making."""
    _failed_at: float = -inf
    """When the run's last failure was; a run ends too when the window has passed."""
    _suspicious: bool = False
    _suspect_until: float = 0.0
    _probing: int = 0
    _good_probes: int = 0
    _round: int = 0
    """Counts changes of state: what began in an earlier one says nothing about this one."""

    def allows(self, now: float) -> bool:
        """Whether a call may begin."""
        if self.state == "closed":
            return True
        if self.state == "open":
            return not self._needs_check and now >= self.until
        return self._probing <= self._good_probes and self._probing < self.policy.probes - self._good_probes

    def suspect(self, now: float) -> bool:
        """Whether another endpoint is to be preferred, where there is one."""
        return self._suspicious and (now < self._suspect_until or self.in_flight > 0)

    @property
    def idle(self) -> bool:
        """Whether nothing is lost where it is forgotten."""
        return self.state == "closed" and not self.in_flight and not self._suspicious

    def begin(self) -> int:
        """A call begins; give what is returned to `end`, and to `succeeded` or `failed`."""
        if self.state == "open":
            self._to("half_open")
        if self.state == "half_open":
            self._probing += 1
        self.in_flight += 1
        return self._round

    def end(self, began: int) -> None:
        """The call has ended, judged or not."""
        self.in_flight -= 1
        if began == self._round and self.state == "half_open":
            self._probing -= 1

    def succeeded(self, began: int, now: float) -> bool:
        """The call was answered well. Whether the state has changed."""
        if began != self._round:
            return False
        self._run = self._doubtful_run = 0
        self._suspicious = False
        if self.state == "half_open":
            self._good_probes += 1
            if self._needs_check and self._good_probes < self.policy.probes:
                return False
            self._openings = 0
            return self._to("closed")
        self._note(now, failed=False)
        return False

    def suspected(self, began: int, now: float) -> None:
        """The call has failed; it is judged when it is known whether its request was the cause."""
        if began == self._round:
            self._suspicious = True
            self._suspect_until = now + min(self.policy.open_for_s, _SUSPECT_S)

    def failed(self, began: int, now: float, fault: Fault, why: str, *, everywhere: bool = False) -> bool:
        """The call has failed; `everywhere`: so did its request wherever it was tried. Whether the state has changed."""
        if began != self._round:
            return False
        if self.state == "half_open":
            return self._open(now, fault, why)
        if now > self._failed_at + self.policy.window_s:
            self._run = self._doubtful_run = 0
        self._failed_at = now
        if everywhere:
            self._doubtful_run += 1
            self._suspicious = self._run > 0  # or it would be left with such requests alone
        else:
            self._run += 1
            self._note(now, failed=True)
        policy, count = self.policy, len(self._outcomes)
        too_many = count >= policy.min_volume and self._failures >= policy.error_share * count and not everywhere
        in_a_row = self._run >= policy.in_a_row or self._run + self._doubtful_run >= policy.min_volume
        return (too_many or in_a_row) and self._open(now, fault, why)

    def refused(self, began: int, now: float, fault: Fault, why: str) -> bool:
        """The call was refused, and so will be all others. Whether the state has changed."""
        return began == self._round and self._open(now, fault, why)

    def _open(self, now: float, fault: Fault, why: str) -> bool:
        changed = self.state != "open"
        self._to("open")
        self.fault, self.why = fault, why
        policy = self.policy
        first_s, most_s = policy.open_for_s, policy.most_open_for_s
        if not self._needs_check:
            first_s, most_s = policy.refused_for_s, policy.most_refused_for_s
        self._openings += 1
        self.until = now + exponential_s(self._openings, first_s, max(first_s, most_s))
        return changed

    def renew(self) -> bool:
        """What it was open for may be fixed: the next call tries it. Whether the state has changed."""
        return self.state == "open" and self._to("half_open")

    def check_due_s(self, now: float) -> float | None:
        """Seconds until its endpoint is to be checked; None where no check is needed."""
        return max(0.0, self.until - now) if self.state == "open" and self._needs_check else None

    def checked(self, well: bool, now: float) -> bool:
        """A check of the endpoint has ended. Whether the state has changed."""
        if self.state != "open" or not self._needs_check or now < self.until:
            return False
        if well:
            return self._to("half_open")
        self.until = now + self.policy.open_for_s
        return False

    @property
    def _needs_check(self) -> bool:
        return self.fault == "illness"

    def _note(self, now: float, *, failed: bool) -> None:
        self._outcomes.append((now, failed))
        self._failures += failed
        while len(self._outcomes) > self.policy.calls or self._outcomes[0][0] <= now - self.policy.window_s:
            self._failures -= self._outcomes.popleft()[1]

    def _to(self, state: State) -> bool:
        changed, self.state = state != self.state, state
        self._round += 1
        self._outcomes.clear()
        self._failures = self._run = self._doubtful_run = 0
        self._suspicious = False
        self._probing = self._good_probes = 0
        return changed
