"""A provider and model's ledger: what all workers used, may have used, and what may be granted now.

Built from the log alone, record by record, so that everybody who has read the last two minutes has the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from schemas.lease import LeaseDemand, LeaseGrant
from streams.limits.amount import NONE, Amount, amount
from streams.limits.books.account import Account
from streams.limits.books.window import SlidingWindow, steady_rate
from streams.limits.provider_view import CorrectedLimit


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """How leases are given. Shares are of what the provider allows in `counted_s`."""

    lease_s: float = 3.0
    """How long a grant holds."""
    counted_s: float = 60.0
    """In what time the provider counts; limits are amounts for this time."""
    margin_s: float = 0.5
    """By how much clocks of brokers may differ, and a call may be late on its way to the provider."""
    burst_share: float = 0.2
    """How much may be granted at once after a quiet time."""
    standing_share: float = 0.1
    """How much quiet workers hold, together, while nobody has to wait."""
    known_s: float = 10.0
    """A worker that said nothing for so long is given nothing."""
    late_s: float = 1.0
    """A grant that the broker took later than this after it was made is void."""
    in_flight_s: float = 0.0
    """How long a call may still count after its worker was heard last: for providers that count at a call's end."""

    @property
    def window_s(self) -> float:
        """How long a use counts."""
        return self.counted_s + self.margin_s


_RECENT_SHARE: Final = 1 / 6
"""Of the window: what was used in it tells a load from single calls."""
_FEW_CALLS: Final = 4


class Ledger:
    """Of one provider and model."""

    def __init__(self, limit: Amount, rules: LeaseRules) -> None:
        self.limit = CorrectedLimit(limit)
        self.rules = rules
        self.accounts: dict[str, Account] = {}
        self.needed = NONE
        """What the worker whose turn it is waits for."""
        self.asked_at = -inf
        """When a worker last wanted something, or used it."""
        self._window = SlidingWindow(rules.window_s)
        self._recent = SlidingWindow(rules.counted_s * _RECENT_SHARE)
        self._burst = limit * rules.burst_share
        self._credit = self._burst
        self._credited_at = -inf

    def account(self, worker_id: str) -> Account:
        return self.accounts.setdefault(worker_id, Account())

    def demand(self, at: float, demand: LeaseDemand) -> None:
        """A worker spoke."""
        self.advance(at)
        account = self.account(demand.worker_id)
        if demand.seq <= account.seq:
            return  # the producer's retry
        before = self._committed_by(account, at)
        account.heard(at, demand, self.rules.lease_s)
        if demand.requests or demand.requests_used or demand.seq == 1:
            self.asked_at = at
        for slot in demand.slots:
            key = (demand.worker_id, slot.number)
            used = Amount(slot.requests, slot.tokens, slot.input, slot.output)
            if key not in self._window or key in self._recent:
                self._recent.put(key, at, used)
            was = self._window.total
            self._window.put(key, at, used)
            self._credit -= self._window.total - was
        self._credit -= self._committed_by(account, at) - before
        if demand.provider_view is not None:
            self.limit.correct(at, demand.provider_view, self._window.total + self._open())

    def grant(self, offset: int, grant: LeaseGrant) -> None:
        """A grant that counts is in the log."""
        until = grant.valid_until.timestamp()
        for worker_id, given in grant.grants.items():
            self.account(worker_id).granted(offset, amount(given), until)
            self._credit = (self._credit - amount(given)).most(self._credit.least(NONE))  # at_once() asks for no credit
        for worker_id in grant.recalled:
            self.account(worker_id).recalled_at = grant.valid_from.timestamp()

    def change_limit(self, limit: Amount) -> None:
        """Another limit is set, from now on. What was used goes on to count; a larger burst is there at once."""
        before, self._burst = self._burst, limit * self.rules.burst_share
        self.limit.set = limit
        self._credit = Amount(
            _saved(self._credit.requests, before.requests, self._burst.requests),
            _saved(self._credit.tokens, before.tokens, self._burst.tokens),
            _saved(self._credit.input, before.input, self._burst.input),
            _saved(self._credit.output, before.output, self._burst.output),
        )

    def advance(self, now: float) -> None:
        """Let time pass: what is older than a window is forgotten, and credit grows at the steady rate."""
        self._window.expire(now)
        self._recent.expire(now)
        for worker_id in [w for w, account in self.accounts.items() if account.silent_since(now, self._hold_s)]:
            del self.accounts[worker_id]
        if self._credited_at > -inf and now > self._credited_at:
            rate = steady_rate(self._window, now, self.room(now))
            self._credit = (self._credit + rate * (now - self._credited_at)).least(self._burst.most(self.needed))
        self._credited_at = max(now, self._credited_at)

    def committed(self, now: float) -> Amount:
        """Used in the window, or perhaps used. Call `advance` before."""
        total = self._window.total
        for account in self.accounts.values():
            total += self._committed_by(account, now)
        return total

    def room(self, now: float) -> Amount:
        """What the limit has left. Negative: more was used than was reserved, and the next ones wait for it."""
        return self.limit.at(now) - self.limit.foreign(now) - self.committed(now)

    def available(self, now: float) -> Amount:
        """What may be granted now: the room, at its pace. Call `advance` before."""
        return self.unpaced(now).least(self._credit)

    def unpaced(self, now: float) -> Amount:
        """What may be granted now where nobody would have to wait for it later. Call `advance` before."""
        return NONE if self.limit.paused(now) else self.room(now)

    def loaded(self, now: float) -> bool:
        """Whether of late calls came so fast that the limit would not last a window. A few calls say nothing yet."""
        recent = self._recent.total
        return recent.requests >= _FEW_CALLS and recent.share_of(self.limit.at(now)) > _RECENT_SHARE

    @property
    def rested(self) -> bool:
        """Whether nobody waited when the grantor looked last, and all credit was saved up."""
        return self.needed == NONE and self._burst.fits(self._credit)

    @property
    def _hold_s(self) -> float:
        return self.rules.window_s + self.rules.in_flight_s

    def _committed_by(self, account: Account, now: float) -> Amount:
        return NONE if account.silent_since(now, self._hold_s) else account.unknown

    def _open(self) -> Amount:
        total = NONE
        for account in self.accounts.values():
            total += account.open
        return total


def _saved(credit: float, before: float, after: float) -> float:
    """What is saved up of one resource when its burst changes."""
    return after if inf in (before, after) else min(credit + max(0.0, after - before), after)
