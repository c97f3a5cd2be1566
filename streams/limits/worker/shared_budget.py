"""The budget that the whole fleet shares, as one worker sees it: it reserves from its grants and demands more.

Synchronous: the topic's loops (topic.py) feed it with the records that were read, and send its demands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from schemas.lease import LeaseDemand, LeaseGrant, LeaseMessage
from streams.limits.amount import NONE, UNLIMITED, Amount, amount, limit_of
from streams.limits.books.bounds import within_limits
from streams.limits.books.grantor import Grantor, moment
from streams.limits.books.ledger import LeaseRules
from streams.limits.budget import FREE, Reserved, TooLarge, Wait
from streams.limits.cached_share import CachedShares
from streams.limits.counting import Counting
from streams.limits.provider_view import MOST_S, read_headers
from streams.limits.route import Route
from streams.limits.token_estimate import Estimate
from streams.limits.usage import NOTHING, Used
from streams.limits.worker.allowance import Allowance, Need
from streams.limits.worker.clock import BrokerClock
from streams.limits.worker.demand_schedule import DemandSchedule
from streams.limits.worker.reservation import LeaseReservation
from streams.metrics import definitions as metrics
from topics.names import Priority

Queues = Mapping[Route, Mapping[Priority, tuple[int, int]]]
"""Requests and tokens that wait, by route and class."""

_COUNT_EVERY_S = 0.5  # counting the queues takes time in proportion to them


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """What one provider allows in `LeaseRules.counted_s`; `inf` for what it does not limit."""

    amount: Amount
    counting: Counting
    counts_at_end: bool = False


@dataclass(slots=True, eq=False)
class _Share:
    """One route, as this worker uses it."""

    limit: SharedLimit
    allowance: Allowance
    schedule: DemandSchedule
    cached: CachedShares
    head: Amount = NONE
    """Of the call that waits for tokens; NONE: none does."""
    head_estimate: int = 0
    """The most that this call may take."""
    sending: bool = False


@dataclass(slots=True, eq=False)
class SharedBudget:
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
    """Called when a demand is due at once."""
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
        """Take part no more: what is left is given back with the demands that are to be sent now."""
        for share in self._shares.values():
            share.allowance.renounce()
            share.head = NONE
        return [route for route, share in self._shares.items() if not share.sending]

    def add(self, route: Route) -> None:
        """Be known for a route before its first call, so that it is granted a little."""
        self._share(route)

    def change_limits(self, amounts: Mapping[str, Amount]) -> None:
        """These providers allow other amounts from now on; how they count stays. Who waits asks again at once."""
        for provider, new in amounts.items():
            limit = self.limits[provider]
            if limit.amount == new:
                continue
            self.limits = {**self.limits, provider: replace(limit, amount=new)}
            self.grantor.limit_changed(provider)
            for route, share in self._shares.items():
                if route.provider == provider:
                    share.limit, share.head = self.limits[provider], NONE
                    share.allowance.change_limit(new)
                    self._room(route)
        self.wake()

    # ---- calls

    @property
    def holds_calls(self) -> bool:
        """Whether a call waits for tokens now."""
        return any(share.head != NONE for share in self._shares.values())

    def too_large(self, route: Route, estimate: Estimate) -> TooLarge | None:
        """See `Budget`."""
        share = self._share(route)
        most = share.allowance.limit.least(share.allowance.limit_now)
        least = share.limit.counting.least(estimate, self._cached_share(share, estimate))
        for needed, allowed, what in (
            (least.tokens, most.tokens, "tokens"),
            (least.input, most.input, "input tokens"),
            (least.output, most.output, "output tokens"),
        ):
            if needed > allowed:
                return TooLarge(
                    f"the request takes at least {needed:.0f} {what}, and {route.provider} allows {allowed:.0f} in "
                    f"{self.rules.counted_s:g} s: shorten it, or lower max_tokens"
                )
        return None

    def reserve(self, route: Route, estimate: Estimate) -> Reserved:
        """See `Budget`."""
        never = self.too_large(route, estimate)
        if never is not None:
            return never
        share = self._share(route)
        if share.limit.amount == UNLIMITED:
            return FREE
        allowance, counting = share.allowance, share.limit.counting
        most = allowance.limit.least(allowance.limit_now)
        wanted = counting.reserved(estimate, most, self._cached_share(share, estimate)).whole()
        now = self.clock.latest()
        if not allowance.reserve(wanted, now):
            if share.head != wanted:
                share.head, share.head_estimate = wanted, estimate.tokens
                metrics.PROVIDER_LIMITED.labels(route.provider).inc()
            self.wake()
            if allowance.paused_until > now:
                return Wait(allowance.paused_until - now, "pause")
            return Wait(None, allowance.lacks(wanted))
        share.head = NONE
        share.schedule.served()
        metrics.LIMIT_TOKENS.labels(route.provider, "reserved").inc(wanted.tokens)
        return LeaseReservation(
            allowance,
            wanted,
            partial(counting.charged, estimate),
            self.clock.latest,
            self.alive,
            partial(self._room, route),
            partial(self._settled, route, estimate.caller),
            self._changed,
        )

    def observe_headers(self, route: Route, headers: Mapping[str, str]) -> None:
        """See `Budget`."""
        view = read_headers(headers, time.time())
        if view is not None:
            self._share(route).allowance.provider_said(view, self.clock.latest())

    def pause(self, route: Route, seconds: float) -> None:
        """See `Budget`."""
        self._share(route).allowance.pause(min(seconds, MOST_S), self.clock.latest())
        self.wake()

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self._tell.append(tell)

    # ---- the topic

    def read(self, offset: int, at: float, message: LeaseMessage) -> None:
        """The next record of the topic."""
        self.clock.read(at)
        if isinstance(message, LeaseGrant):
            message = within_limits(message, self._limit_of(message.provider), at, self.rules)
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
        share.head = NONE  # a call that still waits reserves again now
        self._room(route)

    def due(self) -> tuple[list[Route], float]:
        """The routes whose demand is due now, and when the next one is, by `clock.running`."""
        now = self.clock.running()
        routes, next_at = [], inf
        for route, share in list(self._shares.items()):
            if share.sending:
                continue
            allowance = share.allowance
            at = share.schedule.due_at(share.head != NONE, allowance.changed, allowance.urgent)
            if at <= now:
                routes.append(route)
            else:
                next_at = min(next_at, at)
        return routes, next_at

    def demand(self, route: Route) -> LeaseDemand:
        """The demand to send. Call `confirmed` when it is known whether the broker has it."""
        share = self._shares[route]
        share.sending = True
        need = self._needed(route, share)
        share.schedule.sent(self.clock.running(), share.head != NONE)
        now = self.clock.latest() if self.clock.known else 0.0
        return share.allowance.demand(self.worker_id, need, moment(time.time()), now)

    def confirmed(self, route: Route, acked: bool) -> None:
        """Whether the broker has the last demand."""
        share = self._shares[route]
        share.sending = False
        share.allowance.confirmed(acked)
        share.schedule.confirmed(acked)

    # ---- inside

    def _limit_of(self, provider: str) -> Amount | None:
        limit = self.limits.get(provider)
        return None if limit is None else limit.amount

    def _share(self, route: Route) -> _Share:
        share = self._shares.get(route)
        if share is None:
            limit = self.limits[route.provider]
            rules = self.rules
            allowance = Allowance(route, limit.amount, rules.window_s, rules.lease_s, limit.counts_at_end)
            share = self._shares[route] = _Share(limit, allowance, DemandSchedule(), CachedShares())
        return share

    def _limit_said(self, route: Route, grant: LeaseGrant) -> None:
        self._share(route).allowance.limit_now = limit_of(
            tokens=inf if grant.limit_tokens is None else grant.limit_tokens,
            input_tokens=inf if grant.limit_input is None else grant.limit_input,
            output_tokens=inf if grant.limit_output is None else grant.limit_output,
        )

    def _needed(self, route: Route, share: _Share) -> Need:
        """What waits for this route; at least the call that was refused."""
        head = share.head
        if head == NONE:
            return Need()
        now = self.clock.running()
        if now > self._counted_at + _COUNT_EVERY_S:
            self._counted, self._counted_at = self.waiting(), now
        by_class = self._counted.get(route, {})
        requests = sum(count for count, _ in by_class.values())
        tokens = sum(tokens for _, tokens in by_class.values())
        weight = sum(self.weights.get(priority, 1.0) * tokens for priority, (_, tokens) in by_class.items())
        # The queues know the most that their calls may take; of what counts here it is taken to be such a part as at the head.
        waiting = (head * (tokens / max(1, share.head_estimate))).most(head)
        waiting = Amount(max(1, requests), waiting.tokens, waiting.input, waiting.output)
        return Need(head, waiting, max(head.tokens, weight))

    def _cached_share(self, share: _Share, estimate: Estimate) -> float:
        """Of the call's input, what is expected in the provider's prompt cache and does not count there."""
        return 0.0 if share.limit.counting.cached else share.cached.expected(estimate.caller, self.clock.running())

    def _settled(self, route: Route, caller: str, used: Used | None, charged: Amount, owed: Amount) -> None:
        share = self._share(route)
        if used not in (None, NOTHING) and not share.limit.counting.cached:
            share.cached.observe(caller, used, self.clock.running())
        metrics.LIMIT_TOKENS.labels(route.provider, "used").inc(charged.tokens)
        if owed.tokens:
            metrics.LIMIT_TOKENS.labels(route.provider, "owed").inc(owed.tokens)

    def _changed(self, allowance: Allowance) -> None:
        if allowance.urgent:
            self.wake()

    def _room(self, route: Route) -> None:
        for tell in self._tell:
            tell(route)
