"""A reserved call: attempts, pauses and failover inside the time left to the request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from schemas.response import WireError
from streams.limits.token_estimate import NO_ESTIMATE, TokenEstimator
from streams.limits.usage import NOTHING, used_of
from streams.metrics import definitions as metrics
from streams.money.budgets import Purse
from streams.money.costs import Bill, Costs
from streams.pipeline import Attending, Deltas, Doing, Outcome, PendingRequest, expired
from streams.providers.agent_connections import AgentConnections
from streams.providers.attempts import Attempts, SaidHeaders, ended, label
from streams.providers.failover import Failover
from streams.providers.formats.asked import asked_of
from streams.providers.formats.wire import Answer, Failure
from streams.providers.held_body import HeldBody
from streams.providers.http.resume import Resume
from streams.providers.resumption import Resumption
from streams.providers.room import Room
from streams.providers.target import Attempt, Target
from streams.trace.marks import CallContext, CallMarks, Try, Wait

_BACKOFF: Final[Wait] = ("backoff", "")
_BUDGET: Final[Wait] = ("budget", "")

_SHORTEST_WAIT_S = 0.01
"""Between two tries for room that the budget dates: less would be polling."""


class ProviderCall:
    """The right to one call. It holds a place at an endpoint, a connection of its agent, and its body's bytes.

    A place is given back while the call pauses or waits for room, so that a failing request keeps nobody else waiting.
    """

    def __init__(
        self,
        failover: Failover,
        taken: Attempt,
        agents: AgentConnections,
        room: Room[Attempt],
        tokens: TokenEstimator,
        now: Callable[[], float],
        deltas: Deltas | None = None,
        resumption: Resumption | None = None,
        *,
        costs: Costs,
        purse: Purse | None = None,
        context: CallContext | None = None,
    ) -> None:
        self._failover = failover
        self._taken: Attempt | None = taken
        self._used = taken.target
        """Where the last attempt was made."""
        self._used_endpoint = taken.endpoint
        self._agents = agents
        self._owner = failover.request.owner
        self._room = room
        self._tokens = tokens
        self._now = now
        self._deltas = deltas
        self._resumption = resumption
        self._resume: Resume | None = None
        self._costs, self._bill = costs, Bill(purse)
        self._attempts = 0
        self._marks = CallMarks(context=context)
        self._doing: Doing = "attempt"
        self._began = 0.0
        self._unusable = 0
        self._failures = Attempts()
        self._first = taken.target.provider
        self._body = HeldBody()
        self._body.take(taken.target.provider, len(failover.body))
        agents.take(self._owner)

    def release(self) -> None:
        """Give everything back. Once, after `call` or instead of it."""
        if self._taken is not None:
            self._taken.give_all_back()
            self._taken = None
        self._bill.unpaid()
        self._body.give_back()
        self._agents.give_back(self._owner)
        self._room.open()

    def cut_off(self, outcome: Outcome) -> Outcome:
        """See `Permit`."""
        self._nobody_wants_it()
        return replace(
            outcome,
            provider=self._used.provider.name,
            model=self._used.model,
            attempts=self._attempts,
            provider_s=time.monotonic() - self._began,
            spent=self._bill.total,
            call=self._marks,
        )

    def attending(self) -> Attending | None:
        """See `Permit`."""
        if not self._attempts:
            return None
        used = self._used
        return Attending(self._doing, used.provider.name, used.model, self._used_endpoint.url, self._attempts)

    async def call(self, request: PendingRequest) -> Outcome:
        """The call with its retries, at most for the provider's time for all calls, and for the request's own limit."""
        assert self._taken is not None
        began = self._began = time.monotonic()
        own_limit_s = float("inf") if request.expires_at is None else request.expires_at - self._now()
        all_calls_s = self._first.timing.all_calls_s
        ends = began + min(all_calls_s, own_limit_s)
        own_end = began + own_limit_s
        self._first.retry_budget.request()
        if self._resumption is not None and (told := await self._go_on_with_told(self._resumption)) is not None:
            return self._answered(told, began)
        last = Failure("provider_timeout", "no attempt was made", fault="illness")
        while (left_s := ends - time.monotonic()) > 0:
            if not self._is_valid():
                # It lapsed between reservation and call: no attempt, and nothing to pay for.
                self._give_attempt_back()
                again = await self._wait_for_room(ends)
            else:
                refused = None if self._bill.purse is None else await self._cover(self._bill.purse, ends)
                if refused is None and (self._taken is None or not self._is_valid()):
                    continue  # it has taken long: what the attempt needs is taken anew
                left_s = max(0.0, ends - time.monotonic())
                result = refused or await self._attempt(request, self._taken, left_s, own_end)
                if isinstance(result, Answer):
                    return self._answered(result, began)
                last = result
                again = await self._again(result, ends)
            if isinstance(again, Failure):
                return self._failed(again, began)
            if again is None:
                break
            self._taken = again
        if own_limit_s < all_calls_s:
            self._failures.judge(answered=False)
            self._nobody_wants_it()
            where = "during the provider call"
            if self._attempts and self._failures.last:
                where += f"; {self._failures.summary(last)}"
            return expired(
                where,
                attempts=self._attempts,
                provider=self._used.provider.name,
                provider_s=time.monotonic() - began,
                spent=self._bill.total,
                call=self._marks,
            )
        return self._failed(last, began)

    async def _go_on_with_told(self, resumption: Resumption) -> Answer | None:
        """Find out what another worker has told, and go to where it can be gone on with; the answer, if nothing is missing."""
        await resumption.load()
        if (told := resumption.whole()) is None and self._taken is not None and not resumption.fits(self._taken):
            self._step_aside()
        return told

    def _is_valid(self) -> bool:
        return self._taken is not None and not self._taken.endpoint.gone and self._taken.reservation.is_valid()

    async def _cover(self, purse: Purse, ends: float) -> Failure | None:
        """Set aside what the attempt may cost, of the request's budgets; why it is not made, where they have no room."""
        assert self._taken is not None
        target, request = self._taken.target, self._failover.request.request
        self._used = target
        self._doing = "budget"
        most = self._costs.most(target.provider.name, target.model, request.operation, request.payload)
        with self._marks.waiting(_BUDGET):
            refused = await purse.cover(most, target.model, ends - time.monotonic(), self._step_aside)
        if refused is None:
            return None
        self._give_attempt_back()
        return Failure("budget_exceeded", refused.message, fault="capacity" if refused.later else "context")

    def _step_aside(self) -> None:
        self._give_attempt_back()
        self._room.open()

    def _give_attempt_back(self) -> None:
        if self._taken is not None:
            self._taken.give_all_back()
            self._taken = None

    def _nobody_wants_it(self) -> None:
        """The request ends without its answer, which an upstream may go on making."""
        if self._resumption is not None:
            self._resumption.end(self._resume)

    async def _attempt(
        self, request: PendingRequest, taken: Attempt, left_s: float, own_end: float
    ) -> Answer | Failure:
        """One attempt with what is taken, which is given back after it."""
        self._taken = None
        provider, endpoint = taken.target.provider, taken.endpoint
        self._used, self._used_endpoint = taken.target, endpoint
        self._body.take(provider, len(self._failover.body))
        self._attempts += 1
        self._doing = "attempt"
        repeated = self._failover.note(endpoint)
        said = SaidHeaders()
        resume = self._resume = None if self._resumption is None else self._resumption.next(taken)
        self._begin_deltas(resume, restart=provider.restarts)
        result: Answer | Failure | None = None
        began_at, began = self._now(), time.monotonic()
        try:
            result = await endpoint.call(
                asked_of(request.request),
                self._failover.body,
                min(left_s, provider.timing.call_s),
                stream=provider.streams(request.request.operation, wanted=request.streams),
                on_headers=said,
                deltas=self._deltas,
                resume=resume,
                trace=self._marks.begin(),
            )
            if isinstance(result, Failure):
                result = provider.fault_rules.apply(result)
        finally:
            took_s = time.monotonic() - began
            self._marks.tried(Try(began_at, took_s, label(endpoint), *ended(result)))
            taken.give_slots_back()
            if self._deltas is not None:
                self._deltas.end()
            self._settle(taken, resume, result)
        said.observe(taken.target, result)
        if isinstance(result, Answer):
            endpoint.observe(taken.begun, result, repeated=repeated)
            if resume is None or resume.body is None:  # else it says what the rest of it took
                self._learn(request, result)
        elif result.type != "provider_timeout" or time.monotonic() < own_end:  # else the request cut it short itself
            self._failures.failed(endpoint, taken.begun, result, repeated=repeated)
        if self._resumption is not None and resume is not None:
            if isinstance(result, Answer):
                self._resumption.answered()
            else:
                result = self._resumption.failed(resume, result)
        return result

    def _begin_deltas(self, resume: Resume | None, *, restart: bool) -> None:
        """Whoever reads along is told of a new attempt."""
        if self._deltas is not None:
            upstream = None if resume is None or resume.progress is None else resume.progress.upstream
            held = resume is not None and resume.promises and resume.id is None
            self._deltas.begin(restart=restart, upstream=upstream, held=held)

    def _settle(self, taken: Attempt, resume: Resume | None, result: Answer | Failure | None) -> None:
        """Tell the limits and the bill what an attempt took. None: it was cancelled, and the provider may have worked for it."""
        answer = result if isinstance(result, Answer) else None
        if resume is not None and resume.id is not None:  # the attempt that began the answer has paid for it
            if answer is not None:
                self._paid(taken.target, answer, reads_on=True)
            self._bill.unpaid()
            taken.reservation.release()
            return
        if not isinstance(result, Failure) or (result.sent and result.charged):
            self._paid(taken.target, answer)
        self._bill.unpaid()  # what was not paid
        if answer is not None:
            taken.reservation.settle(used_of(answer.usage, answer.cached_tokens))
        elif not isinstance(result, Failure):
            taken.reservation.settle(None)
        elif result.sent:
            taken.reservation.settle(None if result.charged else NOTHING)
        else:
            taken.reservation.release()

    def _paid(self, target: Target, answer: Answer | None, *, reads_on: bool = False) -> None:
        """An attempt was paid, or may have been."""
        provider, request = target.provider.name, self._failover.request.request
        if answer is not None and answer.billed is not None:
            self._bill.answered(self._costs.of(provider, target.model, answer.billed), reads_on=reads_on)
        else:
            self._bill.unknown(self._costs.guessed(provider, target.model, request.operation, request.payload))

    def _learn(self, request: PendingRequest, answer: Answer) -> None:
        """The next estimate is better for it."""
        if request.estimate is not NO_ESTIMATE:
            usage = answer.usage
            payload, estimate = request.request.payload, request.estimate
            self._tokens.observe(payload, estimate, usage.prompt_tokens, usage.completion_tokens)

    async def _again(self, failure: Failure, ends: float) -> Attempt | Failure | None:
        """What the next attempt needs: at once at an endpoint that was not tried yet, else after a pause; always inside the
        retry budget. None: time is up; a Failure: there is to be no other, or the pause would be longer than the time left.
        """
        self._doing = "backoff"
        self._room.open()
        failover = self._failover
        self._unusable += failure.unusable
        if failure.fault == "request" or self._unusable > 1:
            return failure
        if failure.fault == "context":
            failover.give_up(self._used)
        elif failure.fault in ("key", "credit", "model"):
            failover.refused_by(self._used_endpoint)
        failover.counted += failure.fault in ("illness", "capacity")
        used_up = failover.counted >= self._used.provider.retry.max_attempts
        if (used_up or not failover.targets() or failover.hopeless()) and not failover.next_stage():
            return failure
        if (now := time.monotonic()) >= ends:
            return None
        if not failover.untried():
            if failover.resumes_in_s() != 0.0 and failover.later_is_fit():
                failover.next_stage()
            elif (wait_s := self._backoff_s(ends - now)) is not None:
                await self._pause(wait_s)
            else:
                return failure
        return await self._within_budget(ends)

    def _backoff_s(self, left_s: float) -> float | None:
        """Seconds until the next attempt where all were tried; None where there is to be none.

        A wait that an endpoint asked for is waited for where no other endpoint may be called before.
        """
        retry, counted = self._used.provider.retry, max(1, self._failover.counted)
        return retry.backoff_s(counted, self._failover.resumes_in_s(), left_s, random.random)

    async def _pause(self, seconds: float) -> None:
        with self._marks.waiting(_BACKOFF):
            await asyncio.sleep(seconds)

    async def _within_budget(self, ends: float) -> Attempt | Failure | None:
        budget = self._first.retry_budget
        while wait_s := budget.take(time.monotonic()):
            if (left_s := ends - time.monotonic()) <= 0:
                return None
            await self._pause(min(wait_s, left_s))
        taken = await self._wait_for_room(ends)
        if isinstance(taken, Attempt):
            metrics.PROVIDER_RETRIES.labels(taken.target.provider.name).inc()
        else:
            budget.give_back()
        return taken

    async def _wait_for_room(self, ends: float) -> Attempt | Failure | None:
        """What an attempt needs, as soon as there is room; a Failure where there never will be, None where time is up."""
        self._doing = "room"
        while (left_s := ends - time.monotonic()) > 0:
            acquired = self._failover.take()
            if isinstance(acquired, Failure):
                if not self._failover.next_stage():
                    return acquired
            elif isinstance(acquired, Attempt):
                return acquired
            else:
                wait_s = left_s if acquired.retry_in_s is None else max(acquired.retry_in_s, _SHORTEST_WAIT_S)
                with self._marks.waiting((acquired.lack, acquired.of)):
                    taken = await self._room.wait(self._failover.request.priority, self._try_again, min(left_s, wait_s))
                if taken is not None:
                    return taken
        return None

    def _try_again(self) -> Attempt | None:
        acquired = self._failover.take()
        return acquired if isinstance(acquired, Attempt) else None

    # ---- outcomes

    def _answered(self, answer: Answer, began: float) -> Outcome:
        self._failures.judge(answered=True)
        return Outcome(
            "ok",
            payload=answer.body,
            usage=answer.usage,
            provider=self._used.provider.name,
            model=self._used.model,
            attempts=self._attempts,
            provider_s=time.monotonic() - began,
            spent=self._bill.total,
            shareable=answer.whole and not self._failover.fallback,
            call=self._marks,
        )

    def _failed(self, failure: Failure, began: float) -> Outcome:
        self._failures.judge(answered=False)
        self._nobody_wants_it()
        exhausted = failure.retryable and self._attempts > 0
        return Outcome(
            "error",
            error=WireError(failure.type, self._failures.summary(failure), failure.retryable),
            provider=self._used.provider.name,
            model=self._used.model,
            attempts=self._attempts,
            provider_s=time.monotonic() - began,
            spent=self._bill.total,
            dead_letter=exhausted and self._used.provider.retry.dead_letter,
            call=self._marks,
        )
