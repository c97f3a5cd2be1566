"""A reserved call: attempts, pauses and failover inside the time left to the request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from schemas.response import WireError
from streams.limits import TooLarge
from streams.limits.estimate import TokenEstimator
from streams.metrics import definitions as metrics
from streams.pipeline import Outcome, PendingRequest, expired
from streams.providers.endpoint import Endpoint
from streams.providers.provider import Choice, Lack, Provider, Taken, places, take
from streams.providers.room import Room
from streams.providers.slots import AgentConnections
from streams.providers.wire import Answer, Asked, CannotTranslateError, Failure

_SHORTEST_WAIT_S = 0.01
"""Between two tries for room that the budget dates: less would be polling."""


class Call:
    """The right to one call. It holds a place at an endpoint, a connection of its agent, and its body's bytes.

    A place is given back while the call pauses or waits for room, so that a failing request keeps nobody else waiting.
    """

    def __init__(
        self,
        request: PendingRequest,
        choices: Sequence[Choice],
        taken: Taken,
        body: bytes,
        agents: AgentConnections,
        room: Room[Taken],
        tokens: TokenEstimator,
        now: Callable[[], float],
    ) -> None:
        self._choices = choices
        self._taken: Taken | None = taken
        self._body = body
        self._encoded_for = taken.choice.provider
        self._agents = agents
        self._agent_id = request.agent_id
        self._room = room
        self._tokens = tokens
        self._now = now
        self._attempts = 0
        self._tried: list[Endpoint] = []
        self._used = taken.choice.provider
        taken.choice.provider.hold_body(len(body))
        agents.take(request.agent_id)

    @property
    def endpoint_url(self) -> str | None:
        """Where the next attempt goes; None while there is no place for it."""
        return None if self._taken is None else self._taken.endpoint.url

    def release(self) -> None:
        """Give everything back. Once, after `call` or instead of it."""
        if self._taken is not None:
            self._taken.give_all_back()
            self._taken = None
        self._encoded_for.give_body_back(len(self._body))
        self._agents.give_back(self._agent_id)
        self._room.open()

    async def call(self, request: PendingRequest) -> Outcome:
        """The call with its retries, at most for the provider's time for all calls, and for the request's own limit."""
        assert self._taken is not None
        began = time.monotonic()
        own_limit_s = float("inf") if request.expires_at is None else request.expires_at - self._now()
        all_calls_s = self._taken.choice.provider.timing.all_calls_s
        ends = began + min(all_calls_s, own_limit_s)
        own_end = began + own_limit_s
        self._choices[0].provider.retry_budget.request()
        last = Failure("provider_timeout", "no attempt was made", fault="illness")
        while (left_s := ends - time.monotonic()) > 0:
            if (
                not self._taken.hold.good()
            ):  # it lapsed between reservation and call: no attempt, and nothing to pay for
                self._taken.give_all_back()
                self._taken = None
                again = await self._wait_for_room(request, ends)
            else:
                found = await self._attempt(request, self._taken, left_s, own_end)
                if isinstance(found, Answer):
                    return self._answered(found, began)
                last = found
                if not found.retryable or self._attempts >= self._used.retry.max_attempts:
                    return self._failed(found, began)
                again = await self._again(request, found, ends)
            if isinstance(again, Failure):
                return self._failed(again, began)
            if again is None:
                break
            self._taken = again
        if own_limit_s < all_calls_s:
            return expired(
                "during the provider call",
                attempts=self._attempts,
                provider=self._used.name,
                provider_s=time.monotonic() - began,
            )
        return self._failed(last, began)

    async def _attempt(self, request: PendingRequest, taken: Taken, left_s: float, own_end: float) -> Answer | Failure:
        """One attempt with what is taken, which is given back after it."""
        self._taken = None
        provider, endpoint, hold = taken.choice.provider, taken.endpoint, taken.hold
        if provider is not self._encoded_for:
            try:
                self._encode_for(provider, request)
            except CannotTranslateError as error:
                taken.give_all_back()
                return Failure("invalid_request", str(error), fault="request")
        self._used = provider
        self._attempts += 1
        repeated = endpoint in self._tried
        self._tried.append(endpoint)
        operation, charge = request.request.operation, request.tokens
        try:
            found = await endpoint.call(
                Asked(operation),
                self._body,
                min(left_s, provider.timing.call_s),
                taken.began,
                stream=provider.streams(operation),
                on_headers=partial(provider.budget.observe_headers, taken.choice.route),
            )
            if isinstance(found, Answer):
                charge = found.usage.total_tokens or charge
                self._learn(request, found)
            elif not found.charged:
                charge = 0
        except BaseException:  # cancelled: the provider may have worked for it
            hold.settle(charge)
            raise
        else:
            if isinstance(found, Answer) or found.sent:
                hold.settle(charge)
            else:
                hold.give_back()
        finally:
            taken.give_slots_back()
        cut_short = isinstance(found, Failure) and found.type == "provider_timeout" and time.monotonic() >= own_end
        endpoint.judge(taken.began, found, cut_short=cut_short, repeated=repeated)
        return found

    def _learn(self, request: PendingRequest, answer: Answer) -> None:
        """The next estimate is better for it. Its own estimate is cheaper made again than kept with every waiting request."""
        if request.tokens:
            operation, payload, usage = request.request.operation, request.request.payload, answer.usage
            estimate = self._tokens.estimate(operation, payload)
            self._tokens.observe(payload, estimate, usage.prompt_tokens, usage.completion_tokens)

    def _encode_for(self, provider: Provider, request: PendingRequest) -> None:
        """Another provider, another format. Raises CannotTranslateError."""
        body = provider.encode(request.request)
        self._encoded_for.give_body_back(len(self._body))
        self._encoded_for, self._body = provider, body
        provider.hold_body(len(body))

    async def _again(self, request: PendingRequest, failure: Failure, ends: float) -> Taken | Failure | None:
        """What the next attempt needs: at once at an endpoint that was not tried yet, else after a pause; always inside the
        retry budget. None: time is up; a Failure: the next pause would be longer than the time left.
        """
        self._room.open()
        if (now := time.monotonic()) >= ends:
            return None
        elsewhere = failure.retry_after_s is None and self._untried()
        if not elsewhere:
            pause_s = self._used.retry.pause_s(self._attempts, failure.retry_after_s, ends - now, random.random)
            if pause_s is None:
                return failure
            await asyncio.sleep(pause_s)
        budget = self._choices[0].provider.retry_budget
        while wait_s := budget.take(time.monotonic()):
            if (left_s := ends - time.monotonic()) <= 0:
                return None
            await asyncio.sleep(min(wait_s, left_s))
        taken = await self._wait_for_room(request, ends)
        if isinstance(taken, Taken):
            metrics.PROVIDER_RETRIES.labels(taken.choice.provider.name).inc()
        else:
            budget.give_back()
        return taken

    async def _wait_for_room(self, request: PendingRequest, ends: float) -> Taken | Failure | None:
        """What an attempt needs, as soon as there is room; a Failure where there never will be, None where time is up."""
        while (left_s := ends - time.monotonic()) > 0:
            never = len(self._choices)
            retry_in_s = left_s

            def attempt() -> Taken | None:
                """At an endpoint that was not tried yet, of any provider, before one that was."""
                nonlocal never, retry_in_s
                never = len(self._choices)
                for fresh in (True, False):
                    for choice in self._choices:
                        free = places(choice, request.priority)
                        if fresh and not isinstance(free, Lack):
                            free = [each for each in free if each not in self._tried]
                            if not free:
                                continue
                        found = free if isinstance(free, Lack) else take(choice, free, request, self._tried[-1:])
                        if isinstance(found, Taken):
                            return found
                        if isinstance(found, TooLarge):
                            never -= not fresh
                        elif found.retry_in_s is not None:
                            retry_in_s = min(retry_in_s, max(found.retry_in_s, _SHORTEST_WAIT_S))
                return None

            if (taken := attempt()) is not None:
                return taken
            if not never:
                return Failure(
                    "exceeds_limit", "the request is larger than what the provider allows at once", fault="request"
                )
            if (taken := await self._room.wait(request.priority, attempt, retry_in_s)) is not None:
                return taken
        return None

    def _untried(self) -> bool:
        """Whether an endpoint that was not tried yet could be called now."""
        known = [each for choice in self._choices for each in choice.provider.endpoints]
        if all(each in self._tried for each in known):
            self._tried = self._tried[-1:]  # another round; the last one still comes last
            return False
        return any(each.health.usable() and each not in self._tried for each in known)

    def _answered(self, answer: Answer, began: float) -> Outcome:
        return Outcome(
            "ok",
            payload=answer.body,
            usage=answer.usage,
            provider=self._used.name,
            attempts=self._attempts,
            provider_s=time.monotonic() - began,
        )

    def _failed(self, failure: Failure, began: float) -> Outcome:
        exhausted = failure.retryable and self._attempts > 0
        return Outcome(
            "error",
            error=WireError(failure.type, failure.message, failure.retryable),
            provider=self._used.name,
            attempts=self._attempts,
            provider_s=time.monotonic() - began,
            dead_letter=exhausted and self._used.retry.dead_letter,
        )
