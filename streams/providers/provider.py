"""One provider: its endpoints, and everything that a call to it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from schemas.request import Operation, Request
from streams.limits import Budget, Hold, TooLarge, Wait
from streams.metrics import definitions as metrics
from streams.pipeline import PendingRequest
from streams.providers.body import Traffic
from streams.providers.endpoint import Endpoint
from streams.providers.memory import Bodies
from streams.providers.retry import RetryPolicy
from streams.providers.retry_budget import RetryBudget
from streams.providers.routing import Policy
from streams.providers.slots import Slots
from streams.providers.wire import Format
from topics.names import Priority

log = structlog.get_logger("headrace.providers")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: of one call, and of a request's calls and pauses together."""

    call_s: float
    all_calls_s: float


@dataclass(slots=True, eq=False)
class Provider:
    """What its calls share."""

    name: str
    endpoints: Sequence[Endpoint]
    wire: Format
    stream: bool
    connections: Slots
    bodies: Bodies
    planned_bytes: int
    """Bytes of bodies beyond which it is told that there are more than planned."""
    traffic: Traffic
    budget: Budget
    timing: Timing
    retry: RetryPolicy
    retry_budget: RetryBudget
    _above_plan: bool = False
    _reported_bytes: int = 0

    def serves(self, operation: Operation) -> bool:
        return self.wire.path(operation) is not None

    def streams(self, operation: Operation) -> bool:
        """Whether calls of the operation are streamed to us. The formats stream chats only."""
        return self.stream and operation == "chat.completions"

    def encode(self, request: Request) -> bytes:
        """Raises CannotTranslateError."""
        return self.wire.encode(request, stream=self.streams(request.operation))

    def hold_body(self, size: int) -> None:
        """Count a body as under way; `give_body_back` ends it."""
        self.bodies.take(size)
        self._compare_with_plan()

    def give_body_back(self, size: int) -> None:
        self.bodies.give_back(size)
        self._compare_with_plan()

    def _compare_with_plan(self) -> None:
        above = self.bodies.held + self.traffic.buffers.held > self.planned_bytes
        if above != self._above_plan:
            self._above_plan = above
            if above:
                log.warning("more bytes of bodies than planned", provider=self.name, planned_bytes=self.planned_bytes)

    def report(self) -> None:
        """Set the gauges that nobody sets by an event."""
        metrics.PROVIDER_CONNECTIONS.labels(self.name).set(self.connections.taken)
        metrics.PROVIDER_BODY_BYTES.labels(self.name, "requests").set(self.bodies.held)
        metrics.PROVIDER_BODY_BYTES.labels(self.name, "answers").set(self.traffic.buffers.held)
        metrics.PROVIDER_BYTES.labels(self.name).inc(self.traffic.wire_bytes - self._reported_bytes)
        self._reported_bytes = self.traffic.wire_bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the providers that a route's requests may go to, and how its endpoints are chosen for them."""

    provider: Provider
    group: str
    """The model's group in the provider: an entry of its `models`. Its limits hold."""
    policy: Policy

    @property
    def route(self) -> str:
        """Name of the requests that wait for the same things, where this is their first choice."""
        return f"{self.provider.name}/{self.group}"


@dataclass(frozen=True, slots=True)
class Lack:
    """No call at this provider now."""

    only_for_high: bool
    """Whether a request of the class high would get one."""
    retry_in_s: float | None = None


@dataclass(slots=True, eq=False)
class Taken:
    """Everything that one attempt needs."""

    choice: Choice
    endpoint: Endpoint
    hold: Hold
    priority: Priority
    began: int
    """The endpoint's breaker knows the attempt by it."""

    def give_slots_back(self) -> None:
        """After an attempt. The hold ends by what came of it."""
        self.endpoint.give_back(self.priority)
        self.choice.provider.connections.give_back(self.priority)

    def give_all_back(self) -> None:
        """No attempt was made."""
        self.endpoint.health.breaker.forget(self.began)
        self.hold.give_back()
        self.give_slots_back()


def places(choice: Choice, priority: Priority) -> list[Endpoint] | Lack:
    """The endpoints that could take a call of the class now, at least one."""
    provider = choice.provider
    wait_s = provider.traffic.bandwidth.wait_s(time.monotonic())
    if wait_s:
        return Lack(only_for_high=False, retry_in_s=wait_s)
    if not provider.connections.free(priority):
        return Lack(only_for_high=provider.connections.free("high") > 0)
    usable = [each for each in provider.endpoints if each.health.usable()]
    free = [each for each in usable if each.free(priority)]
    return free or Lack(only_for_high=any(each.free("high") for each in usable))


def take(
    choice: Choice, free: Sequence[Endpoint], request: PendingRequest, avoid: Sequence[Endpoint] = ()
) -> Taken | Lack | TooLarge:
    """Take what an attempt needs at one of the `free` endpoints, all of it or nothing; one to `avoid` only without another."""
    hold = choice.provider.budget.reserve(choice.group, request.tokens, request.priority)
    if isinstance(hold, Wait):
        return Lack(only_for_high=False, retry_in_s=hold.retry_in_s)
    if isinstance(hold, TooLarge):
        return hold
    candidates = [each for each in free if each not in avoid] if avoid else free
    endpoint = choice.policy.pick(candidates or free, request.request.conversation_id or request.agent_id)
    choice.provider.connections.take(request.priority)
    return Taken(choice, endpoint, hold, request.priority, endpoint.take(request.priority))
