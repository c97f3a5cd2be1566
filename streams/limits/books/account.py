"""What the grantor knows of one worker: what it was granted and used, as far as the log tells.

What a worker may have begun and not reported yet is never more than what it had left when it spoke last, and the grants that it
had not read then. All of that counts as used until its next words, or until it can be no more: a window after the end of
its last grant.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import exp, inf

from schemas.lease import LeaseDemand
from streams.limits.amount import NONE, Amount, amount


@dataclass(slots=True, eq=False)
class Account:
    """One worker's, for one provider and model. Times are the broker's."""

    heard_at: float = -inf
    until: float = -inf
    """The end of its last grant."""
    seq: int = -1
    left: Amount = NONE
    open: Amount = NONE
    waiting: Amount = NONE
    head: Amount = NONE
    """What its next call needs."""
    weight: float = 0.0
    turn: float = 0.0
    """Tokens granted by its weight: who has the least is next."""
    recalled_at: float = -inf
    """When it was last asked to give up what it has left."""
    rate: Amount = NONE
    """Used a second, of late."""
    _unseen: deque[tuple[int, Amount]] = field(default_factory=deque)

    def granted(self, offset: int, given: Amount, until: float) -> None:
        self._unseen.append((offset, given))
        self.until = max(self.until, until)

    def heard(self, at: float, demand: LeaseDemand, rate_over_s: float) -> None:
        """Take in a demand that is newer than the last."""
        silent_s = max(1e-3, at - self.heard_at)
        keep = exp(-silent_s / rate_over_s)
        used = Amount(demand.requests_used, demand.tokens_used, demand.input_used, demand.output_used)
        self.rate = self.rate * keep + used * ((1 - keep) / silent_s) if self.seq >= 0 else NONE
        self.heard_at, self.seq = at, demand.seq
        self.left, self.open = amount(demand.left), amount(demand.open)
        self.waiting = Amount(demand.requests, demand.tokens, demand.input, demand.output)
        self.head = Amount(1, demand.head_tokens, demand.head_input, demand.head_output)
        self.weight = demand.weight or float(demand.tokens) or float(demand.requests)
        while self._unseen and self._unseen[0][0] <= demand.seen:
            self._unseen.popleft()

    @property
    def held(self) -> Amount:
        """What it may still use, as far as the log tells."""
        held = self.left
        for _, given in self._unseen:
            held += given
        return held

    @property
    def wanted(self) -> Amount:
        """What all that waits needs beyond what it holds."""
        return (self.waiting.most(self.head) - self.held).most(NONE)

    @property
    def unknown(self) -> Amount:
        """What it may have used and not reported yet."""
        return self.held + self.open

    def silent_since(self, now: float, hold_s: float) -> bool:
        """Whether nothing that it may have done can count any more."""
        return now > max(self.until, self.heard_at) + hold_s
