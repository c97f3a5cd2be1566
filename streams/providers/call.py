"""A reserved call: attempts, pauses and failover inside the time left to the request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from schemas.response import WireError
from streams.limits.token_estimate import NO_ESTIMATE, TokenEstimator
from streams.limits.usage import NOTHING, Used, used_of
from streams.metrics import definitions as metrics
from streams.pipeline import Attending, Deltas, Doing, Outcome, PendingRequest, expired
from streams.providers.agent_connections import AgentConnections
from streams.providers.attempts import Attempts
from streams.providers.formats.asked import asked_of
from streams.providers.formats.wire import Answer, Failure
from streams.providers.http.resume import Resume
from streams.providers.provider import Provider
from streams.providers.resumption import Resumption
from streams.providers.room import Room
from streams.providers.search import Search
from streams.providers.target import Attempt

_SHORTEST_WAIT_S = 0.01
"""Between two tries for room that the budget dates: less would be polling."""


class ProviderCall:
    """The right to one call. It holds a place at an endpoint, a connection of its agent, and its body's bytes.

    A place is given back while the call pauses or waits for room, so that a failing request keeps nobody else waiting.
    """

    def __init__(
        self,
        search: Search,
        taken: Attempt,
        agents: AgentConnections,
        room: Room[Attempt],
        tokens: TokenEstimator,
        now: Callable[[], float],
        deltas: Deltas | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        self._search = search
        self._taken: Attempt | None = taken
        self._used = taken.target
        """Where the last attempt was made."""
        self._used_endpoint = taken.endpoint
        self._agents = agents
        self._agent_id = search.request.agent_id
        self._room = room
        self._tokens = tokens
        self._now = now
        self._deltas = deltas
        self._resumption = resumption
        self._resume: Resume | None = None
        self._attempts = 0
        self._doing: Doing = "attempt"
        self._began = 0.0
        self._unusable = 0
        self._failures = Attempts()
        self._first = taken.target.provider
        self._body: tuple[Provider, int] | None = None
        self._take_body(taken.target.provider)
        agents.take(self._agent_id)

    def release(self) -> None:
        """Give everything back. Once, after `call` or instead of it."""
        if self._taken is not None:
            self._taken.give_all_back()
            self._taken = None
        self._give_body_back()
        self._agents.give_back(self._agent_id)
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
            if self._taken is None or not self._taken.reservation.is_valid():
                # It lapsed between reservation and call: no attempt, and nothing to pay for.
                self._give_attempt_back()
                again = await self._wait_for_room(ends)
            else:
                result = await self._attempt(request, self._taken, left_s, own_end)
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
            spent_s = time.monotonic() - began
            return expired(where, attempts=self._attempts, provider=self._used.provider.name, provider_s=spent_s)
        return self._failed(last, began)

    async def _go_on_with_told(self, resumption: Resumption) -> Answer | None:
        """Find out what another worker has told, and go to where it can be gone on with; the answer, if nothing is missing."""
        await resumption.load()
        if (told := resumption.whole()) is None and self._taken is not None and not resumption.fits(self._taken):
            self._give_attempt_back()
            self._room.open()
        return told

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
        target, endpoint, reservation = taken.target, taken.endpoint, taken.reservation
        provider = target.provider
        self._take_body(provider)
        self._used, self._used_endpoint = target, endpoint
        self._attempts += 1
        self._doing = "attempt"
        repeated = self._search.note(endpoint)
        said = _Headers()
        used: Used | None = None
        resume = self._resume = None if self._resumption is None else self._resumption.next(taken)
        reads_on = resume is not None and resume.id is not None  # the attempt that began the answer has paid for it
        if self._deltas is not None:
            upstream = None if resume is None or resume.progress is None else resume.progress.upstream
            held = resume is not None and resume.promises and resume.id is None
            self._deltas.begin(restart=provider.restarts, upstream=upstream, held=held)
        try:
            result = await endpoint.call(
                asked_of(request.request),
                self._search.body,
                min(left_s, provider.timing.call_s),
                stream=provider.streams(request.request.operation, wanted=request.streams),
                on_headers=said,
                deltas=self._deltas,
                resume=resume,
            )
            if isinstance(result, Answer):
                used = used_of(result.usage, result.cached_tokens)
                if resume is None or resume.body is None:  # else it says what the rest of it took
                    self._learn(request, result)
            else:
                result = provider.fault_rules.apply(result)
                if not result.charged:
                    used = NOTHING
        except BaseException:  # cancelled: the provider may have worked for it
            reservation.release() if reads_on else reservation.settle(None)
            raise
        else:
            if (isinstance(result, Answer) or result.sent) and not reads_on:
                reservation.settle(used)
            else:
                reservation.release()
        finally:
            taken.give_slots_back()
            if self._deltas is not None:
                self._deltas.end()
        self._observe_headers(taken, said, result)
        if isinstance(result, Answer):
            endpoint.observe(taken.begun, result, repeated=repeated)
        elif not (
            result.type == "provider_timeout" and time.monotonic() >= own_end
        ):  # else the request cut it short itself
            self._failures.failed(endpoint, taken.begun, result, repeated=repeated)
        if self._resumption is not None and resume is not None:
            if isinstance(result, Answer):
                self._resumption.answered()
            else:
                result = self._resumption.failed(resume, result)
        return result

    def _observe_headers(self, taken: Attempt, said: _Headers, result: Answer | Failure) -> None:
        """What the headers say of the limits. A wait that one of several endpoints asks for binds that one, not the fleet."""
        target = taken.target
        budget = target.provider.budget
        if said.headers is not None:
            budget.observe_headers(target.route, said.headers)
        if isinstance(result, Answer) or result.fault != "capacity" or not result.retry_after_s:
            return
        if len(target.provider.endpoints) == 1:
            budget.pause(target.route, result.retry_after_s)

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
        search = self._search
        self._unusable += failure.unusable
        if failure.fault == "request" or self._unusable > 1:
            return failure
        if failure.fault == "context":
            search.give_up(self._used)
        elif failure.fault in ("key", "credit", "model"):
            search.refused_by(self._used_endpoint)
        search.counted += failure.fault in ("illness", "capacity")
        used_up = search.counted >= self._used.provider.retry.max_attempts
        if (used_up or not search.targets() or search.hopeless()) and not search.next_stage():
            return failure
        if (now := time.monotonic()) >= ends:
            return None
        if not search.untried():
            if search.resumes_in_s() != 0.0 and search.later_is_fit():
                search.next_stage()
            elif (wait_s := self._backoff_s(ends - now)) is not None:
                await asyncio.sleep(wait_s)
            else:
                return failure
        return await self._within_budget(ends)

    def _backoff_s(self, left_s: float) -> float | None:
        """Seconds until the next attempt where all were tried; None where there is to be none.

        A wait that an endpoint asked for is waited for where no other endpoint may be called before.
        """
        retry, counted = self._used.provider.retry, max(1, self._search.counted)
        return retry.backoff_s(counted, self._search.resumes_in_s(), left_s, random.random)

    async def _within_budget(self, ends: float) -> Attempt | Failure | None:
        budget = self._first.retry_budget
        while wait_s := budget.take(time.monotonic()):
            if (left_s := ends - time.monotonic()) <= 0:
                return None
            await asyncio.sleep(min(wait_s, left_s))
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
            acquired = self._search.take()
            if isinstance(acquired, Failure):
                if not self._search.next_stage():
                    return acquired
            elif isinstance(acquired, Attempt):
                return acquired
            else:
                wait_s = left_s if acquired.retry_in_s is None else max(acquired.retry_in_s, _SHORTEST_WAIT_S)
                taken = await self._room.wait(self._search.request.priority, self._try_again, min(left_s, wait_s))
                if taken is not None:
                    return taken
        return None

    def _try_again(self) -> Attempt | None:
        acquired = self._search.take()
        return acquired if isinstance(acquired, Attempt) else None

    # ---- the body's bytes

    def _take_body(self, provider: Provider) -> None:
        """The body, as it is encoded now, is under way to the provider."""
        size = len(self._search.body)
        if self._body != (provider, size):
            self._give_body_back()
            self._body = (provider, size)
            provider.take_body(size)

    def _give_body_back(self) -> None:
        if self._body is not None:
            provider, size = self._body
            provider.give_body_back(size)
            self._body = None

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
            shareable=answer.whole and not self._search.fallback,
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
            dead_letter=exhausted and self._used.provider.retry.dead_letter,
        )


class _Headers:
    """Keeps the headers of an answer until it is known what it means."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: Mapping[str, str] | None = None

    def __call__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
