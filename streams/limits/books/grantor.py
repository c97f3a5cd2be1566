"""The grantor: one worker that says what each may use. Every worker keeps its books, from the log, and could take over.

Safety never depends on there being only one: what counts is decided by the log (epochs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from schemas.lease import LeaseClaim, LeaseDemand, LeaseGrant, LeaseMessage
from streams.limits.amount import NONE, Amount
from streams.limits.books.epochs import Epochs
from streams.limits.books.ledger import LeaseRules, Ledger
from streams.limits.books.share import share
from streams.limits.route import Route

_YIELD_S = 3.0  # two that both think themselves chosen do not take turns quickly
_SAY_AGAIN_S = 30.0  # a reader of the last two minutes meets the claim
_FORGET_S = 300.0  # a model that nobody asked for so long has no standing grants


@dataclass(slots=True, eq=False)
class _Book:
    ledger: Ledger
    pending: tuple[int, float] | None = None
    """Number and time of the grant that is on its way to the log."""
    granted_at: float = -inf


@dataclass(slots=True, eq=False)
class Grantor:
    """The books of all providers and models, and the decisions of the worker that leads. Times are the broker's.

    `limit_of(provider)` is its limit in a minute for each model, None where it has none.
    """

    worker_id: str
    limit_of: Callable[[str], Amount | None]
    rules: LeaseRules
    wanted: bool = False
    """Whether this worker was chosen to lead."""
    known: dict[str, float] = field(default_factory=dict)
    """When each worker was heard last."""
    epochs: Epochs = field(init=False)
    _books: dict[Route, _Book] = field(default_factory=dict)
    _seq: int = 0
    _claimed_at: float = -inf

    def __post_init__(self) -> None:
        self.epochs = Epochs(self.rules.late_s)

    def ledger(self, route: Route) -> Ledger | None:
        """The books of a provider and model; None if the provider has no limit."""
        limit = self.limit_of(route.provider)
        if limit is None:
            return None
        if route not in self._books:
            self._books[route] = _Book(Ledger(limit, self.rules))
        return self._books[route].ledger

    def ledgers(self) -> list[tuple[Route, Ledger]]:
        """The books that are kept now."""
        return [(route, book.ledger) for route, book in self._books.items()]

    def limit_changed(self, provider: str) -> None:
        """What `limit_of` says of a provider is another limit now. One that has none any more keeps no books."""
        limit = self.limit_of(provider)
        for route in [route for route in self._books if route.provider == provider]:
            if limit is None:
                del self._books[route]
            else:
                self._books[route].ledger.change_limit(limit)

    def read(self, offset: int, at: float, message: LeaseMessage) -> bool:
        """Take in the log's next record; whether it is a grant that counts."""
        if isinstance(message, LeaseClaim):
            led = self.leads
            self.epochs.claim(message)
            if led and not self.leads:
                self._claimed_at = max(self._claimed_at, at + _YIELD_S - self.rules.late_s)
            return False
        if isinstance(message, LeaseDemand):
            self.known[message.worker_id] = at
        ledger = self.ledger(Route(message.provider, message.model))
        if isinstance(message, LeaseDemand):
            if ledger is not None:
                ledger.demand(at, message)
            return False
        if not self.epochs.counts(message, at):
            return False
        if ledger is not None:
            book = self._books[Route(message.provider, message.model)]
            if book.pending is not None and book.pending[0] == message.seq and self.leads:
                book.pending = None
            book.granted_at = at
            ledger.grant(offset, message)
        return True

    @property
    def scarce(self) -> bool:
        """Whether somebody waits for room, so that it is worth to look again soon."""
        return any(book.ledger.needed != NONE for book in self._books.values())

    @property
    def leads(self) -> bool:
        """Whether the log names this worker as the grantor."""
        return self.epochs.grantor_id == self.worker_id

    def claim(self, now: float) -> LeaseClaim | None:
        """What to write to become the grantor, or to say that one still is; None if nothing."""
        if not self.wanted:
            return None
        wait_s = _SAY_AGAIN_S if self.leads else self.rules.late_s
        if now < self._claimed_at + wait_s:
            return None
        self._claimed_at = now
        epoch = self.epochs.epoch + (0 if self.leads else 1)
        return LeaseClaim(grantor_id=self.worker_id, epoch=epoch, at=moment(now))

    def decide(self, now: float) -> list[LeaseGrant]:
        """The grants to write now, at most one for each provider and model; the next follows when it was read back."""
        if not (self.wanted and self.leads):
            return []
        self.known = {worker: at for worker, at in self.known.items() if now - at <= self.rules.known_s}
        grants = [self._decide(route, book, now) for route, book in list(self._books.items())]
        return [grant for grant in grants if grant is not None]

    def _decide(self, route: Route, book: _Book, now: float) -> LeaseGrant | None:
        ledger, rules = book.ledger, self.rules
        if book.pending is not None:
            if now <= book.pending[1] + rules.late_s + rules.margin_s:
                return None
            book.pending = None  # whenever the broker takes it now, it is void
        ledger.advance(now)
        if now > ledger.asked_at + _FORGET_S:
            if not ledger.accounts and now > book.granted_at + _FORGET_S:
                del self._books[route]
            return None
        shares = share(ledger, self.known, now)
        grants, recalled = dict(shares.grants), list(shares.recalled)
        if not shares.scarce and now > book.granted_at + rules.lease_s / 2:
            for worker_id, account in ledger.accounts.items():
                if worker_id in self.known and account.held != NONE:
                    grants.setdefault(worker_id, NONE)  # what it holds goes on to hold
        if not grants and not recalled:
            return None
        self._seq += 1
        book.pending = (self._seq, now)
        book.granted_at = now
        limit = ledger.limit.at(now)
        return LeaseGrant(
            provider=route.provider,
            model=route.group,
            grantor_id=self.worker_id,
            epoch=self.epochs.epoch,
            seq=self._seq,
            valid_from=moment(now),
            valid_until=moment(now + rules.lease_s),
            grants={worker_id: given.wire() for worker_id, given in grants.items()},
            recalled=recalled,
            limit_tokens=_wire(limit.tokens),
            limit_input=_wire(limit.input),
            limit_output=_wire(limit.output),
        )


def _wire(limit: float) -> int | None:
    return None if limit == inf else int(limit)


def moment(at: float) -> datetime:
    """Unix seconds as a message has them."""
    return datetime.fromtimestamp(at, UTC)
