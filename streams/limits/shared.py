"""Budgets that the whole fleet shares: what one worker reserves from, and what it tells of it.

Synchronous: the topic's loops (topic.py) feed it with what was read and carry away what it has to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf

from schemas.lease import LeaseDemand, LeaseGrant, LeaseMessage
from streams.limits.allowance import Allowance, Need
from streams.limits.amount import Amount, amount
from streams.limits.budget import Reserved, TooLarge, Wait
from streams.limits.clock import BrokerClock
from streams.limits.grantor import Grantor, moment
from streams.limits.hold import LeaseHold
from streams.limits.ledger import LeaseRules
from streams.limits.provider_view import read_headers
from streams.limits.route import Route
from streams.limits.telling import Telling
from streams.metrics import definitions as metrics
from topics.names import Priority

Queues = Mapping[Route, Mapping[Priority, tuple[int, int]]]
"""Requests and tokens that wait, by route and class."""

_COUNT_EVERY_S = 0.5  # counting the queues takes time in proportion to them


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """What one provider allows in `LeaseRules.counted_s`; `inf` for what it does not limit."""

    amount: Amount
    counts_at_end: bool = False


@dataclass(slots=True, eq=False)
class _Share:
    """One provider and model, as this worker uses it."""

    allowance: Allowance
    telling: Telling
    head_tokens: int = 0
    """Of the call that waits for tokens; 0: none does."""
    sending: bool = False


@dataclass(slots=True, eq=False)
class Shared:
    """The `Budget` of the providers that have a limit, leased: one worker's part in it.

    `alive` tells whether the worker is still a member of its group.
    """

    worker_id: str
    limits: Mapping[str, SharedLimit]
    rules: LeaseRules
    weights: Mapping[Priority, float]
    waiting: Callable[[], Queues]
    alive: Callable[[], bool]
    clock: BrokerClock = field(default_factory=BrokerClock)
    grantor: Grantor = field(init=False)
    wake: Callable[[], None] = lambda: None
    """Called when there is something to tell at once."""
    _shares: dict[Route, _Share] = field(default_factory=dict)
    _tell: list[Callable[[Route], None]] = field(default_factory=list)
    _counted: Queues = field(default_factory=dict)
    _counted_at: float = -inf

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin with empty books, as a worker that was just started: the topic is not the one that was read."""
        self.grantor = Grantor(self.worker_id, self._limit_of, self.rules)
        for share in self._shares.values():
            share.allowance.renounce()
            share.allowance.seen = -1

    def leave(self) -> list[Route]:
        """Take part no more: what is left is given back with the demands that are to be told now."""
        for share in self._shares.values():
            share.allowance.renounce()
            share.head_tokens = 0
        return [route for route, share in self._shares.items() if not share.sending]

    def add(self, route: Route) -> None:
        """Be known for a route before its first call, so that it is granted a little."""
        self._share(route)

    # ---- calls

    def too_large(self, route: Route, tokens: int) -> TooLarge | None:
        """See `Budget`."""
        allowance = self._share(route).allowance
        most = min(allowance.limit.tokens, allowance.limit_tokens)
        if tokens <= most:
            return None
        return TooLarge(
            f"the request may take {tokens} tokens, and {route.provider} allows {most:g} in {self.rules.counted_s:g} s: "
            "shorten it, or lower max_tokens"
        )

    def reserve(self, route: Route, tokens: int) -> Reserved:
        """See `Budget`."""
        never = self.too_large(route, tokens)
        if never is not None:
            return never
        share = self._share(route)
        allowance = share.allowance
        now = self.clock.latest()
        if not allowance.reserve(tokens, now):
            if share.head_tokens != tokens:
                share.head_tokens = tokens
                metrics.PROVIDER_LIMITED.labels(route.provider).inc()
            self.wake()
            return Wait(allowance.paused_until - now if allowance.paused_until > now else None)
        share.head_tokens = 0
        share.telling.served()
        return LeaseHold(
            allowance, tokens, self.clock.latest, self.alive, partial(self._room, route), settled, self._changed
        )

    def observe_headers(self, route: Route, headers: Mapping[str, str], status: int) -> None:
        """See `Budget`."""
        view = read_headers(headers, status, time.time())
        if view is not None:
            self._share(route).allowance.provider_said(view, self.clock.latest())

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self._tell.append(tell)

    # ---- the topic

    def read(self, offset: int, at: float, message: LeaseMessage) -> None:
        """The next record of the topic."""
        self.clock.read(at)
        if not self.grantor.read(offset, at, message):
            return
        assert isinstance(message, LeaseGrant)
        route = Route(message.provider, message.model)
        given = message.grants.get(self.worker_id)
        if self.worker_id in message.recalled and route in self._shares:
            self._shares[route].allowance.recall(offset, self.clock.latest())
            self.wake()
        if given is None:
            if route in self._shares:
                self._limit_said(route, message)
            return
        share = self._share(route)
        self._limit_said(route, message)
        share.allowance.grant(offset, amount(given), message.valid_until.timestamp(), self.clock.latest())
        metrics.LIMIT_TOKENS.labels(message.provider, "granted").inc(given.tokens)
        share.head_tokens = 0  # whoever still waits asks again now
        self._room(route)

    def due(self) -> tuple[list[Route], float]:
        """For which routes there is something to tell now, and when the next one is due, by `clock.running`."""
        now = self.clock.running()
        found, next_at = [], inf
        for route, share in list(self._shares.items()):
            if share.sending:
                continue
            allowance = share.allowance
            at = share.telling.due_at(share.head_tokens > 0, allowance.changed, allowance.urgent)
            if at <= now:
                found.append(route)
            else:
                next_at = min(next_at, at)
        return found, next_at

    def demand(self, route: Route) -> LeaseDemand:
        """What to tell. Call `told` when it is known whether the broker has it."""
        share = self._shares[route]
        share.sending = True
        need = self._needed(route, share)
        share.telling.tells(self.clock.running(), share.head_tokens > 0)
        now = self.clock.latest() if self.clock.known else 0.0
        return share.allowance.demand(self.worker_id, need, share.head_tokens, moment(time.time()), now)

    def told(self, route: Route, acked: bool) -> None:
        share = self._shares[route]
        share.sending = False
        share.allowance.told(acked)
        share.telling.told(acked)

    # ---- inside

    def _limit_of(self, provider: str) -> Amount | None:
        found = self.limits.get(provider)
        return None if found is None else found.amount

    def _share(self, route: Route) -> _Share:
        found = self._shares.get(route)
        if found is None:
            limit = self.limits[route.provider]
            rules = self.rules
            allowance = Allowance(route, limit.amount, rules.window_s, rules.lease_s, limit.counts_at_end)
            found = self._shares[route] = _Share(allowance, Telling())
        return found

    def _limit_said(self, route: Route, grant: LeaseGrant) -> None:
        said = grant.limit_tokens
        self._share(route).allowance.limit_tokens = inf if said is None else said

    def _needed(self, route: Route, share: _Share) -> Need:
        """What waits for this route; at least the call that was refused."""
        if not share.head_tokens:
            return Need()
        now = self.clock.running()
        if now > self._counted_at + _COUNT_EVERY_S:
            self._counted, self._counted_at = self.waiting(), now
        by_class = self._counted.get(route, {})
        requests = sum(count for count, _ in by_class.values())
        tokens = sum(tokens for _, tokens in by_class.values())
        weight = sum(self.weights.get(priority, 1.0) * tokens for priority, (_, tokens) in by_class.items())
        return Need(max(1, requests), max(share.head_tokens, tokens), max(float(share.head_tokens), weight))

    def _changed(self, allowance: Allowance) -> None:
        if allowance.urgent:
            self.wake()

    def _room(self, route: Route) -> None:
        for tell in self._tell:
            tell(route)


def _count_settled(provider: str, used: int, owed: int) -> None:
    metrics.LIMIT_TOKENS.labels(provider, "used").inc(used)
    if owed:
        metrics.LIMIT_TOKENS.labels(provider, "owed").inc(owed)
