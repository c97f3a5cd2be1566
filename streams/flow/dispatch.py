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
from streams.flow.coalesce import Coalescer, Regroup
from streams.flow.input_caps import Fate
from streams.flow.merge import merge, split
from streams.flow.parts import Parts
from streams.flow.pool import Pool
from streams.flow.refusals import Refusals
from streams.flow.rules import FlowRules, scheduler_of
from streams.flow.scheduler import Scheduler
from streams.flow.stats import FlowStats, agent_stats
from streams.flow.wait_estimate import WaitEstimate
from streams.flow.wake import Wake
from streams.limits import Route
from streams.metrics import definitions as metrics
from streams.pipeline import Busy, Outcome, PendingRequest, Permit, Providers, Responder, error_outcome, expired
from streams.supervise import fault, is_told_to_stop, settle, supervised
from topics.names import Priority

log = structlog.get_logger("headrace.flow")

_TICK_S: Final = 0.1
"""How late an expiry in the queue may be noticed, and how often the pool and the agents are adjusted."""

_LEAST_SLEEP_S: Final = 0.002
"""With an empty bucket: a few tokens at a time, rather than a wake-up for each."""

_OWN_FAULT: Final = error_outcome("internal", "a fault of the pipeline's own, see its log")


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
        self._slots, self._agents = self._scheduler.slots, self._scheduler.agents
        self._bucket = TokenBucket(rules.rate_per_s, rules.burst)
        self._coalescer = Coalescer(
            rules.merge_inputs if rules.ordering == "none" else 1, rules.merge_wait_s, rules.most_inputs
        )
        self._wait_estimate = WaitEstimate(rules.classes, began)
        self._refusals = Refusals(self._scheduler, self._agents, self._wait_estimate, early=rules.refuse_early)
        self._calls: set[asyncio.Task[None]] = set()
        self._longest_wait_s = 0.0
        self._wake = Wake(self._fill, clock)
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
                self._responder.respond(request, _OWN_FAULT)
        if self._ticking is None and not self._stopped:
            self._ticking = supervised("flow", self._tick)
        self._fill()

    def _accept(self, request: PendingRequest, now: float) -> None:
        route = self._providers.route(request)
        if isinstance(route, Route):
            request.route = route
        refusal = route if isinstance(route, Outcome) else self._refusals.of(request, now)
        if refusal is not None:
            if refusal.error is not None:
                metrics.REFUSED.labels(request.priority, refusal.error.type).inc()
            self._responder.respond(request, refusal)
            return
        for part in self._parts.cut(request, self._coalescer.known_limit(request)):
            self._put(part, now)
        agent = self._agents[request.agent_id]
        if request.decode_s:  # the loop stood still: no slot was of use meanwhile
            self._agents.charge(agent, request.decode_s * self._slots.size, self._clock())
        self._warn(agent)

    def _put(self, request: PendingRequest, now: float) -> None:
        if self._coalescer.add(request) and not self._pool.idle and self._coalescer.may_linger(request, now):
            self._scheduler.put(request, held=True)
            for each in self._coalescer.linger(request, self._clock()):
                self._scheduler.let_go(each)
        else:
            self._scheduler.put(request)

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

    # ---- out

    def _on_room(self, route: Route) -> None:
        self._scheduler.open(route)
        self._wake.after(0.0)

    def _fill(self) -> None:
        """Dispatch what may go. An answer given on the way may bring the next request: that one is seen in the same loop."""
        if self._filling or self._stopped:
            return
        self._filling = True
        try:
            clock = self._clock()
            for request in self._coalescer.lingered(clock, all_of_them=self._pool.idle):
                self._scheduler.let_go(request)
            sleep_s = float("inf") if self._in_doubt() else self._dispatch(clock)  # the next tick asks again
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
                group = [request, *self._mates(request, tokens - 1, now)]
                called = request if len(group) == 1 else merge(group)
                reserved = self._reserve(called)
                if isinstance(reserved, Busy):
                    self._block(request, reserved, clock)
                elif isinstance(reserved, Outcome):
                    for each in group:
                        self._remove(each, clock)
                    self._end(group, reserved)
                else:
                    self._start(group, called, reserved, now, clock)
        return float("inf")

    def _reserve(self, request: PendingRequest) -> Permit | Outcome | Busy:
        try:
            return self._providers.reserve(request)
        except Exception:  # a fault of ours: left at the head of its queue it would hold up everybody behind it
            log.exception("a reservation broke", request_id=request.request_id)
            return _OWN_FAULT

    def _block(self, request: PendingRequest, busy: Busy, clock: float) -> None:
        if busy.scope == "model":
            self._coalescer.remove(request)
        self._scheduler.block(request, busy, clock)
        if busy.scope == "model":
            self._coalescer.add(request)

    def _mates(self, request: PendingRequest, most: int, now: float) -> list[PendingRequest]:
        """Who shares the request's call. Each takes a token and one of its agent's calls, as if it went alone.

        One that was called before, with others, has had its token.
        """
        mates: list[PendingRequest] = []
        calls: dict[str, int] = {request.agent_id: 1}
        for other in self._coalescer.fitting(request):
            own = calls.get(other.agent_id, 0) + 1
            in_flight = self._agents[other.agent_id].in_flight
            fits = in_flight + own <= self._rules.agents.most_in_flight
            fresh = other.dispatched_at is None
            if (most > 0 or not fresh) and fits and other.source.live and other.dispatch_by > now:
                most -= fresh
                calls[other.agent_id] = own
                mates.append(other)
        return mates

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
                metrics.QUEUE_SECONDS.labels(priority).observe(wait_s)
        self._bucket.take(clock, fresh)
        self._wait_estimate.started(priority, fresh)
        metrics.ADMITTED.labels(priority).inc(fresh)
        self._slots.take(priority)
        dispatcher = self._pool.take()
        call = asyncio.create_task(self._call(group, called, permit, dispatcher))
        self._calls.add(call)
        call.add_done_callback(self._on_end)

    async def _call(
        self, group: Sequence[PendingRequest], called: PendingRequest, permit: Permit, dispatcher: int
    ) -> None:
        try:
            outcome = await permit.call(called)
        except (Exception, asyncio.CancelledError) as error:  # unanswered, the record would hold its partition for ever
            if is_told_to_stop(error):
                raise
            fault("calls", error, "a call broke by a fault of the pipeline's own", request_id=called.request_id)
            outcome = _OWN_FAULT
        finally:
            self._slots.give_back(called.priority)
            self._pool.give_back(dispatcher)
            clock = self._clock()
            for request in group:
                self._scheduler.end(request, clock)
            permit.release()
        try:
            self._end(group, outcome)
        except (
            Exception
        ) as error:  # one of a group may be answered twice; none at all would hold its partition for ever
            fault("calls", error, "an outcome could not be passed on", request_id=called.request_id)
            for request in group:
                if request.source.live and request not in self._scheduler:
                    settle("calls", partial(self._responder.respond, request, _OWN_FAULT))

    def _on_end(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.result()  # a fault of ours is not to be lost: the loop's exception handler tells
            self._wake.after(0.0)

    # ---- answers

    def _end(self, group: Sequence[PendingRequest], outcome: Outcome) -> None:
        """Answer everybody who shared the call, or let those try again who did not all have the same reason to fail."""
        may_pass = outcome.error is not None and outcome.error.retryable
        if len(group) > 1:
            metrics.MERGED.inc(len(group))
        parts = [outcome] if len(group) == 1 else split(outcome, group) if outcome.status == "ok" else None
        if parts is None and may_pass and outcome.status != "expired":
            parts = [outcome] * len(group)
        if parts is not None:
            for request, part in zip(group, parts, strict=True):
                self._responder.respond(request, part)
            refused = outcome.status == "error" and not may_pass
            fate: Fate = "answered" if outcome.status == "ok" else "refused" if refused else "other"
            self._let_go(self._coalescer.ended(group, fate, self._clock()))
            return
        if outcome.error is not None and outcome.error.type == "answer_too_large":
            self._coalescer.too_large(group, self._clock())
        now = self._now()
        left = [request for request in group if request.expires_at is None or request.expires_at > now]
        over = [request for request in group if request not in left]
        for request in over:
            self._responder.respond(request, outcome if outcome.status == "expired" else expired("in a shared call"))
        if over:
            self._let_go(self._coalescer.ended(over, "other", self._clock()))
            self._wait_again(Regroup(left, held=False))
            return
        refused = outcome.error is not None and outcome.error.type == "provider_error"
        for each in self._coalescer.halves(group, refused=refused, now=self._clock()):
            self._wait_again(each)

    def _wait_again(self, regroup: Regroup) -> None:
        """Put them back into the queue, to be called without the others: they have been dispatched once, in time."""
        for request in regroup.group:
            waits_s = request.dispatch_by - request.received_at
            request.dispatch_by = request.expires_at or self._now() + waits_s
            self._scheduler.put(request, held=regroup.held)
        self._coalescer.add_group(regroup.group)
        self._wake.after(0.0)

    def _let_go(self, requests: Sequence[PendingRequest]) -> None:
        """These were held, and may go now."""
        for request in requests:
            self._scheduler.let_go(request)
        if requests:
            self._wake.after(0.0)

    def _expire(self, request: PendingRequest) -> None:
        if request.source.live:
            why = self._providers.why_not(request)
            self._responder.respond(request, expired(f"in the queue; {why}" if why else "in the queue"))
        else:
            self._responder.abandon(request)

    def _remove(self, request: PendingRequest, clock: float) -> None:
        self._scheduler.remove(request, clock)
        self._let_go(self._coalescer.gone(request))

    # ---- now and then

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            clock, now = self._clock(), self._now()
            for request in self._scheduler.take_late(now, clock):
                self._let_go(self._coalescer.gone(request))
                self._expire(request)
            self._let_go(self._coalescer.maintain(now, clock))
            self._wait_estimate.tick(clock)
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
        clock = self._clock()
        for request in [request for request in self._scheduler if not request.source.live]:
            self._remove(request, clock)
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
        agents = agent_stats(self._agents, self._clock(), most_agents)
        oldest_s = round(self.oldest_wait_s(self._now()), 3)
        return FlowStats(self.waiting(), oldest_s, self.in_flight, self.dispatchers, len(self._agents), agents)

    async def stop(self) -> None:
        """Cancel what is under way; its records stay unfinished and go to the next owner. What comes later waits for ever."""
        self._stopped = True  # a call that ends just now must not start the next one
        self._wake.stop()
        tasks = [*self._calls, *([self._ticking] if self._ticking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
