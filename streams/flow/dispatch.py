"""From the queues to the providers: as many calls under way as the limits allow, and none waiting inside a client.

A request leaves its queue only when a dispatcher, an admission token and its provider's permit are there for it. What
decides who that is, is pure (streams/flow/scheduler.py); here are the calls, the clocks and the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from streams.flow.admission import TokenBucket
from streams.flow.agents import Agent
from streams.flow.answers import Answers
from streams.flow.calls import OWN_FAULT, Call, Calls
from streams.flow.coalesce import Coalescer
from streams.flow.expiry import Expiry
from streams.flow.mates import Mates
from streams.flow.merge import merge
from streams.flow.parts import Over, Parts
from streams.flow.pool import Pool
from streams.flow.queue_states import QueueStates
from streams.flow.refusals import Refusals
from streams.flow.rules import FlowRules, scheduler_of
from streams.flow.scheduler import Scheduler
from streams.flow.stats import FlowStats, agent_stats
from streams.flow.wait_estimate import WaitEstimate
from streams.flow.wake import Wake
from streams.limits import Route
from streams.metrics import definitions as metrics
from streams.pipeline import Busy, EndedAs, Outcome, PendingRequest, Permit, Providers, Responder
from streams.supervise import end, fault, settle, supervised
from topics.names import Priority

log = structlog.get_logger("headrace.flow")

_TICK_S: Final = 0.1
"""How late an expiry in the queue may be noticed, and how often the pool and the agents are adjusted."""

_LEAST_SLEEP_S: Final = 0.002
"""With an empty bucket: a few tokens at a time, rather than a wake-up for each."""


class Dispatch:
    """Stage: holds requests until they may be dispatched, then sees them through their call.

    `now` is the time of the records (Unix seconds), `clock` a monotonic one. `scheduler`: made before, where others look at what
    waits; one of its own else. `in_doubt`: whether what waits may be another worker's by now, so that no call begins.
    """

    def __init__(
        self,
        rules: FlowRules,
        providers: Providers,
        responder: Responder,
        now: Callable[[], float],
        clock: Callable[[], float],
        scheduler: Scheduler | None = None,
        in_doubt: Callable[[], bool] = lambda: False,
    ) -> None:
        began = clock()
        self._rules = rules
        self._providers = providers
        self._responder = self._parts = Parts(responder)
        self._now = now
        self._clock = clock
        self._in_doubt = in_doubt
        self._pool = Pool(rules.pool)
        self._scheduler = scheduler_of(rules, began) if scheduler is None else scheduler
        self._slots = self._scheduler.slots
        self._bucket = TokenBucket(rules.rate_per_s, rules.burst)
        self._coalescer = Coalescer(
            rules.merge_inputs if rules.ordering == "none" else 1, rules.merge_wait_s, rules.most_inputs
        )
        self._mates = Mates(self._coalescer, self._scheduler)
        self._wait_estimate = WaitEstimate(rules.classes, began)
        self._refusals = Refusals(self._scheduler, self._wait_estimate, early=rules.refuse_early)
        self._calls = Calls(self._give_back, self._answer, lambda: self._wake.after(0.0))
        waiting, called = (self._scheduler, self._coalescer), (self._calls, self._parts)
        self.states = QueueStates(*waiting, *called, clock, now, in_doubt, providers.why_not)
        self._expiry = Expiry(self.states, providers.why_not, clock, now)
        self._longest_wait_s = 0.0
        self._wake = Wake(self._fill, clock)
        self._answers = Answers(self._parts, self._scheduler, self._coalescer, self._wake, now, clock)
        self._ticking: asyncio.Task[None] | None = None
        self._filling = False
        self._stopped = False
        providers.on_room(self._on_room)

    # ---- in

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        now = self._now()
        for request in requests:
            try:
                self._accept(request, now)
            except Exception:  # a fault of ours: unanswered, the record would hold its partition's commits for ever
                log.exception("a request broke flow", request_id=request.request_id)
                self._responder.respond(request, OWN_FAULT)
        if self._ticking is None and not self._stopped:
            self._ticking = supervised("flow", self._tick)
        self._fill()

    def _accept(self, request: PendingRequest, now: float) -> None:
        route = self._providers.route(request)
        if isinstance(route, Route):
            request.route = route
        if request.marks is not None and request.marks.queued_at is None:
            request.marks.queued_at = now
        refusal = route if isinstance(route, Outcome) else self._refusals.of(request, now)
        if refusal is not None:
            if refusal.error is not None:
                metrics.REFUSED.labels(request.priority, refusal.error.type).inc()
            self._responder.respond(request, refusal)
            return
        for part in self._parts.cut(request, self._coalescer.known_limit(request)):
            self._put(part, now)
        agents = self._scheduler.agents_of(request)
        agent = agents[request.agent_id]
        if request.decode_s:  # the loop stood still: no slot was of use meanwhile
            agents.charge(agent, request.decode_s * self._slots.size, self._clock())
        self._warn(agent)

    def _put(self, request: PendingRequest, now: float) -> None:
        if self._coalescer.add(request) and not self._pool.idle and self._coalescer.may_linger(request, now):
            self._scheduler.put(request, held=True)
            self._scheduler.note(request, clock := self._clock())
            for each in self._coalescer.linger(request, clock):
                self._scheduler.let_go(each, clock)
        else:
            self._scheduler.put(request)
            self._scheduler.note(request, self._clock())

    def _warn(self, agent: Agent) -> None:
        above = agent.bytes > self._rules.agents.warning_bytes
        if above and not agent.warned:
            log.warning("an agent's requests take much memory", agent_id=agent.agent_id, bytes=agent.bytes)
        agent.warned = above

    def withdraw(self, request: PendingRequest) -> bool:
        """Take out one that waits and was never called: it is answered by somebody else. False where it is under way."""
        if request.dispatched_at is not None or not request.source.live:
            return False
        self._remove(request, self._clock())
        return True

    def cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        """End one that is not answered yet, with this outcome; where it was. A call is closed once nobody waits for it."""
        ended = [self._cancel(each, outcome) for each in self._parts.open_of(request)]
        return "call" if "call" in ended else ended[0]

    def _cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        call = self._calls.of(request)
        if call is None:
            if request.dispatched_at is None:
                self._remove(request, self._clock())
                self._responder.respond(request, outcome)
            else:  # it waits with those with which it was called: they count on it
                self._responder.respond(request, outcome)
                request.source = Over()
            return "waiting"
        if len(call.left) + 1 < len(call.group):
            call.left.add(request)
            self._responder.respond(request, outcome)
            return "shared"
        self._calls.cut(call, outcome)
        return "call"

    # ---- out

    def _on_room(self, route: Route) -> None:
        self._scheduler.open(route, self._clock())
        self._wake.after(0.0)

    def _fill(self) -> None:
        """Dispatch what may go. An answer given on the way may bring the next request: that one is seen in the same loop."""
        if self._filling or self._stopped:
            return
        self._filling = True
        try:
            clock = self._clock()
            for request in self._coalescer.lingered(clock, all_of_them=self._pool.idle):
                self._scheduler.let_go(request, clock)
            in_doubt = self._in_doubt()
            sleep_s = float("inf") if in_doubt else self._dispatch(clock)  # the next tick asks again
            self.states.short_of_tokens = short_of_tokens = sleep_s < float("inf")
            self._scheduler.held_up.look(clock, in_doubt=in_doubt, short_of_tokens=short_of_tokens)
        finally:
            self._filling = False
        for at in (self._scheduler.next_retry_at, self._coalescer.next_at):
            if at is not None:
                sleep_s = min(sleep_s, max(0.0, at - clock))
        if sleep_s < float("inf"):
            self._wake.after(max(sleep_s, _LEAST_SLEEP_S))

    def _dispatch(self, clock: float) -> float:
        """Dispatch until nothing more may go; how long to wait for the next token, infinite if it is not that."""
        now, scheduler = self._now(), self._scheduler
        while (request := scheduler.first(clock)) is not None:
            if not request.source.live:
                self._remove(request, clock)
                self._responder.abandon(request)
            elif request.dispatch_by <= now:
                self._remove(request, clock)
                self._expire(request)
            elif not (tokens := self._bucket.available(clock)) and request.dispatched_at is None:
                return self._bucket.next_in_s(clock)
            else:
                group = [request, *self._mates.of(request, tokens - 1, now, clock)]
                called = request if len(group) == 1 else merge(group)
                reserved = self._reserve(called)
                if isinstance(reserved, Busy):
                    self._block(request, reserved, clock)
                elif isinstance(reserved, Outcome):
                    for each in group:
                        self._remove(each, clock)
                    self._answers.end(group, reserved)
                else:
                    self._start(group, called, reserved, now, clock)
        return float("inf")

    def _reserve(self, request: PendingRequest) -> Permit | Outcome | Busy:
        try:
            return self._providers.reserve(request)
        except Exception:  # a fault of ours: left at the head of its queue it would hold up everybody behind it
            log.exception("a reservation broke", request_id=request.request_id)
            return OWN_FAULT

    def _block(self, request: PendingRequest, busy: Busy, clock: float) -> None:
        if busy.scope == "model":
            self._coalescer.remove(request)
        self._scheduler.block(request, busy, clock)
        if busy.scope == "model":
            self._coalescer.add(request)

    def _start(
        self, group: Sequence[PendingRequest], called: PendingRequest, permit: Permit, now: float, clock: float
    ) -> None:
        priority = group[0].priority
        fresh = sum(request.dispatched_at is None for request in group)
        for number, request in enumerate(group):
            self._coalescer.remove(request)
            (self._scheduler.join if number else self._scheduler.start)(request, clock)
            if request.dispatched_at is None:
                request.dispatched_at = now
                wait_s = max(0.0, now - request.received_at)
                self._longest_wait_s = max(self._longest_wait_s, wait_s)
                metrics.QUEUE_SECONDS.labels(priority).add(wait_s)
        self._bucket.take(clock, fresh)
        self._wait_estimate.started(priority, fresh)
        metrics.ADMITTED.labels(priority).inc(fresh)
        self._slots.take(priority)
        dispatcher = self._pool.take()
        self._calls.start(Call(group, called, permit, dispatcher))

    def _give_back(self, call: Call) -> None:
        self._slots.give_back(call.called.priority)
        self._pool.give_back(call.dispatcher)
        self.states.ended(call.group[0])
        clock = self._clock()
        for request in call.group:
            self._scheduler.end(request, clock)
        call.permit.release()

    def _answer(self, call: Call, outcome: Outcome) -> None:
        try:
            self._answers.end(call.group, outcome, call.left, is_cut=call.cut is not None)
        except Exception as error:  # one of a group may be answered twice; none would hold its partition for ever
            fault("calls", error, "an outcome could not be passed on", request_id=call.called.request_id)
            for request in call.group:
                if request.source.live and request not in call.left and request not in self._scheduler:
                    settle("calls", partial(self._responder.respond, request, OWN_FAULT))

    # ---- what ends without a call

    def _expire(self, request: PendingRequest) -> None:
        if not request.source.live:
            return self._responder.abandon(request)
        return self._responder.respond(request, self._expiry.outcome(request))

    def _remove(self, request: PendingRequest, clock: float) -> None:
        self._scheduler.remove(request, clock)
        self._answers.let_go(self._coalescer.gone(request))

    # ---- now and then

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            clock, now = self._clock(), self._now()
            for request in self._scheduler.take_late(now, clock):
                self._answers.let_go(self._coalescer.gone(request))
                self._expire(request)
            self._answers.let_go(self._coalescer.maintain(now, clock))
            self._wait_estimate.tick(clock)
            self.states.tick(clock)
            self._adjust_pool(clock, now)
            self._scheduler.maintain(clock)
            self._fill()

    def _adjust_pool(self, clock: float, now: float) -> None:
        most, pool, slots = self._rules.most_in_flight, self._pool, self._slots
        full = len(self._scheduler) > 0 and slots.size < most and not slots.has_room("low")
        wait_s = max(self._longest_wait_s, self.oldest_wait_s(now) if full else 0.0)
        self._longest_wait_s = 0.0
        if pool.adjust(clock, wait_s, full=full):
            slots.resize(min(most, pool.capacity))
            log.info("the pool has changed", dispatchers=pool.size, queue_wait_s=round(wait_s, 3))

    def drop_moved(self) -> None:
        """Partitions have moved: drop what waits of records that belong to another worker now."""
        for request in [request for request in self._scheduler if not request.source.live]:
            self._remove(request, self._clock())
            self._responder.abandon(request)

    # ---- stats

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    @property
    def dispatchers(self) -> int:
        return self._pool.size

    def waiting(self) -> dict[Priority, int]:
        """Requests waiting for dispatch, by class."""
        return self._scheduler.waiting()

    def oldest_wait_s(self, now: float) -> float:
        """How long the oldest waiting request has waited, from its record's timestamp; 0 if none waits."""
        return max(0.0, now - min((request.received_at for request in self._scheduler), default=now))

    def stats(self, most_agents: int) -> FlowStats:
        """What is going on now, and the agents that use most of this worker, busiest first."""
        tenants = self._scheduler.tenants
        agents, known = (
            agent_stats(tenants, self._clock(), most_agents),
            sum(len(each.agents) for each in tenants.values()),
        )
        oldest_s = round(self.oldest_wait_s(self._now()), 3)
        told = self.states.waiting_for()
        return FlowStats(self.waiting(), oldest_s, self.in_flight, self.dispatchers, known, agents, told)

    async def stop(self) -> None:
        """Cancel what is under way; its records stay unfinished and go to the next owner. What comes later waits for ever."""
        self._stopped = True  # a call that ends just now must not start the next one
        self._wake.stop()
        await end([self._ticking] if self._ticking else [])
        await self._calls.stop()
