"""One endpoint of a provider, as the worker knows it: its slots, its health, its calls under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cache

import structlog
from prometheus_client import Histogram
from xxhash import xxh64_intdigest

from schemas.request import Operation
from streams.metrics import definitions as metrics
from streams.providers.client import Checked, EndpointClient, OnHeaders
from streams.providers.health import EndpointState, Health
from streams.providers.slots import Slots
from streams.providers.wire import Answer, Asked, Failure
from topics.names import Priority

log = structlog.get_logger("headrace.providers")

_STATES: tuple[EndpointState, ...] = ("healthy", "half_open", "open", "unhealthy", "draining")


class Endpoint:
    """`slots` are all those that a call to it takes: of its host within the provider, and within the worker.

    `on_change` is called when its state has changed: it may take calls again.
    """

    def __init__(
        self, provider: str, place: int, weight: int, client: EndpointClient, slots: Sequence[Slots], health: Health
    ) -> None:
        self.provider = provider
        self.place = place
        self.weight = weight
        self.client = client
        self.health = health
        self.in_flight = 0
        self.hash_seed = xxh64_intdigest(client.url.encode())
        self.last_check: Checked | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.changed = asyncio.Event()
        """Set when its state has changed; the health checks clear it."""
        self._slots = slots
        self._show_state()

    @property
    def url(self) -> str:
        return self.client.url

    def free(self, priority: Priority) -> int:
        """Calls of the class that it could take now, as far as slots go."""
        return min(slots.free(priority) for slots in self._slots)

    def take(self, priority: Priority) -> int:
        """Take the slots of one call; give what is returned to `call` or `give_back`."""
        for slots in self._slots:
            slots.take(priority)
        self.in_flight += 1
        return self.health.breaker.begin()

    def give_back(self, priority: Priority) -> None:
        """The slots are free again."""
        for slots in self._slots:
            slots.give_back(priority)
        self.in_flight -= 1

    async def call(
        self, asked: Asked, body: bytes, timeout_s: float, began: int, *, stream: bool, on_headers: OnHeaders
    ) -> Answer | Failure:
        """One attempt by a holder of its slots. Raises nothing but CancelledError."""
        started = time.monotonic()
        try:
            found, first_s = await self.client.call(asked, body, timeout_s, stream=stream, on_headers=on_headers)
        except BaseException:
            self.health.breaker.forget(began)
            raise
        took_s, operation = time.monotonic() - started, asked.operation
        if isinstance(found, Answer):
            _seconds(self.provider, operation, "").observe(took_s)
            _tokens(self.provider, operation, "input").observe(found.usage.prompt_tokens)
            _tokens(self.provider, operation, "output").observe(found.usage.completion_tokens)
        else:
            _seconds(self.provider, operation, found.type).observe(took_s)
        if first_s is not None:
            metrics.FIRST_TOKEN_SECONDS.labels(self.provider, metrics.GEN_AI_OPERATIONS[operation]).observe(first_s)
        return found

    def judge(self, began: int, found: Answer | Failure, *, cut_short: bool, repeated: bool) -> None:
        """What an attempt says of the endpoint's health: nothing if it was cut short by the request's own limit, or refused
        by a rate limit. A probe by a request that has failed here before (`repeated`) may say how well the endpoint is, and
        not how ill: the request itself may be what fails, and a few of those would keep the breaker open for everybody.
        """
        failed = isinstance(found, Failure) and found.fault == "illness"
        says_little = failed and repeated and self.health.state == "half_open"
        if cut_short or says_little or (isinstance(found, Failure) and found.fault != "illness" and found.retryable):
            self.health.breaker.forget(began)
        else:
            self._changed(self.health.recorded(began, failed, time.monotonic()), _why(found))

    async def check(self, timeout_s: float) -> Checked:
        """Ask it whether it lives."""
        self.last_check = found = await self.client.check(timeout_s)
        metrics.PROVIDER_CHECKS.labels(self.provider, "ok" if found.well else "failed").inc()
        why = found.error or f"status {found.status}"
        self._changed(self.health.checked(found.well, time.monotonic()), f"check: {why}")
        return found

    def drain(self, draining: bool) -> None:
        """Give it no new calls, or give it calls again."""
        self._changed(self.health.drain(draining), "asked for by its operator")

    def _changed(self, changed: bool, why: str) -> None:
        if not changed:
            return
        say = log.info if self.health.state in ("healthy", "half_open") else log.warning
        say("endpoint", state=self.health.state, provider=self.provider, url=self.url, why=why)
        self._show_state()
        self.changed.set()
        self.on_change()

    def _show_state(self) -> None:
        for state in _STATES:
            metrics.ENDPOINT_STATE.labels(self.provider, self.url, state).set(state == self.health.state)


def _why(found: Answer | Failure) -> str:
    return found.message if isinstance(found, Failure) else "calls are answered"


# prometheus-client looks a child up under a lock, 0.8 us each time.
@cache
def _seconds(provider: str, operation: Operation, error_type: str) -> Histogram:
    return metrics.PROVIDER_SECONDS.labels(provider, metrics.GEN_AI_OPERATIONS[operation], error_type)


@cache
def _tokens(provider: str, operation: Operation, kind: str) -> Histogram:
    return metrics.PROVIDER_TOKENS.labels(provider, metrics.GEN_AI_OPERATIONS[operation], kind)
