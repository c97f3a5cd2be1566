"""One endpoint of a provider, as the worker knows it: its slots, its health, its calls under way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import structlog
from prometheus_client import Histogram
from xxhash import xxh32_intdigest, xxh64_intdigest

from schemas.request import Operation
from streams.metrics import definitions as metrics
from streams.metrics.histogram import Durations
from streams.pipeline import Deltas
from streams.providers.formats.wire import Answer, Asked, Failure, Fault
from streams.providers.health import Begun, EndpointState, Health
from streams.providers.http.client import Checked, EndpointClient, OnHeaders
from streams.providers.http.resume import Resume
from streams.slots import Slots
from streams.trace.marks import Pairs
from topics.names import Priority

log = structlog.get_logger("headrace.providers")

_STATES: Final[tuple[EndpointState, ...]] = ("healthy", "half_open", "open", "refused", "unhealthy", "draining")
_FAULTS: Final[tuple[Fault, ...]] = ("illness", "key", "credit", "model")


class Endpoint:
    """`slots` are all those that a call to it takes: of its host within the provider, and within the worker.

    `on_change` is called when its state has changed: it may take calls again.
    """

    def __init__(
        self,
        provider: str,
        place: int,
        weight: int,
        client: EndpointClient,
        slots: Sequence[Slots],
        health: Health,
        label: str = "",
    ) -> None:
        self.provider = provider
        self.place = place
        self.weight = weight
        self.client = client
        self.health = health
        self.in_flight = 0
        self._take_name(label or client.url)
        self.gone = False
        """Whether it is none of the settings' any more: calls under way end there, none begins."""
        self.last_check: Checked | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.changed = asyncio.Event()
        """Set when its state has changed; the health checks clear it."""
        self._slots = slots
        self._show_state()

    @property
    def url(self) -> str:
        return self.client.url

    def rename(self, label: str) -> None:
        """`label`: what people call it from now on, its name or else its URL."""
        if label != self.label:
            self._take_name(label)
            self._show_state()

    def _take_name(self, label: str) -> None:
        self.label = label
        self.hash_seed = xxh64_intdigest(label.encode())
        self.number = upstream_number(label)
        """The same in every worker, whatever other endpoints there are."""

    def free(self, priority: Priority) -> int:
        """Calls of the class that it could take now, as far as slots go."""
        return min(slots.free(priority) for slots in self._slots)

    def take(self, priority: Priority, model: str) -> Begun:
        """Take the slots of one call; give what is returned to `give_back`."""
        for slots in self._slots:
            slots.take(priority)
        self.in_flight += 1
        begun = self.health.begin(model)
        if begun.tries:
            self._show_state()
        return begun

    def give_back(self, priority: Priority, begun: Begun) -> None:
        """The slots are free again."""
        for slots in self._slots:
            slots.give_back(priority)
        self.in_flight -= 1
        self.health.end(begun)

    async def call(
        self,
        asked: Asked,
        body: bytes,
        timeout_s: float,
        *,
        stream: bool,
        on_headers: OnHeaders,
        deltas: Deltas | None = None,
        resume: Resume | None = None,
        trace: Pairs = (),
    ) -> Answer | Failure:
        """One attempt by a holder of its slots; what it streams is told to `deltas` too. Raises nothing but CancelledError.
        `resume`: how it goes on with an earlier one; `trace`: headers of its trace context.
        """
        started = time.monotonic()
        result, first_s = await self.client.call(
            asked, body, timeout_s, stream=stream, on_headers=on_headers, deltas=deltas, resume=resume, trace=trace
        )
        took_s, operation = time.monotonic() - started, asked.operation
        if isinstance(result, Answer):
            _seconds(self.provider, operation, "").add(took_s)
            _tokens(self.provider, operation, "input").observe(result.usage.prompt_tokens)
            _tokens(self.provider, operation, "output").observe(result.usage.completion_tokens)
        else:
            _seconds(self.provider, operation, result.type).add(took_s)
        if first_s is not None:
            metrics.FIRST_TOKEN_SECONDS.labels(self.provider, metrics.GEN_AI_OPERATIONS[operation]).add(first_s)
        return result

    def observe(self, begun: Begun, result: Answer | Failure, *, repeated: bool) -> bool:
        """What an attempt says of the endpoint, and of its model there. Whether that is open until it is known what becomes of
        the request elsewhere: then `judge` it.

        The retries of one request count once (`repeated`): the request itself may be what fails.
        """
        now, health = time.monotonic(), self.health
        if isinstance(result, Answer):
            self._changed(health.succeeded(begun, now), "calls are answered", begun.model)
        elif result.fault in ("request", "context"):
            self._changed(health.alive(begun, now), "calls are answered", begun.model)
        elif result.fault == "capacity":
            if result.retry_after_s:
                health.pause(begun.model, result.retry_after_s, result.message, now)
        elif result.certain:
            self._changed(health.refused(begun, result, now), result.message, begun.model)
        elif repeated:
            return False
        elif not result.sent or health.of(begun.model).state == "half_open":
            self._changed(health.failed(begun, result, now, everywhere=False), result.message, begun.model)
        else:
            health.suspected(begun, now)
            return True
        return False

    def judge(self, begun: Begun, failure: Failure, *, everywhere: bool) -> None:
        """What became of a request that failed here: whether it did so `everywhere`, or was answered elsewhere or later."""
        changed = self.health.failed(begun, failure, time.monotonic(), everywhere=everywhere)
        self._changed(changed, failure.message, begun.model)

    async def check(self, timeout_s: float) -> Checked:
        """Ask it whether it lives."""
        self.last_check = checked = await self.client.check(timeout_s)
        metrics.PROVIDER_CHECKS.labels(self.provider, "ok" if checked.well else "failed").inc()
        why = checked.error or f"status {checked.status}"
        self._changed(self.health.checked(checked.well, time.monotonic()), f"check: {why}")
        return checked

    def new_key(self) -> None:
        """It is called with another key from now on."""
        self._changed(self.health.new_key(), "its key is another one")

    def drain(self, draining: bool) -> None:
        """Give it no new calls, or give it calls again."""
        self._changed(self.health.drain(draining), "asked for by its operator")

    def leave(self) -> None:
        """It is none of the settings' any more."""
        self.gone = True
        self.health.drain(True)

    def _changed(self, changed: bool, why: str, model: str | None = None) -> None:
        if not changed:
            return
        breaker = (
            self.health.breaker if model is None or self.health.breaker.state != "closed" else self.health.of(model)
        )
        state = breaker.state if self.health.state == "healthy" else self.health.state
        say = log.info if state in ("healthy", "closed", "half_open") else log.warning
        say(
            "endpoint",
            state=state,
            provider=self.provider,
            endpoint=self.label,
            url=self.url,
            model=model,
            fault=breaker.fault,
            why=why,
        )
        self._show_state()
        self.changed.set()
        self.on_change()

    def _show_state(self) -> None:
        if self.gone:
            return  # its series are forgotten, or another endpoint's of that name
        for state in _STATES:
            metrics.ENDPOINT_STATE.labels(self.provider, self.label, state).set(state == self.health.state)
        aside = Counter(breaker.fault for _, breaker in self.health.set_aside())
        for fault in _FAULTS:
            metrics.ENDPOINT_SET_ASIDE.labels(self.provider, self.label, fault).set(aside[fault])


def upstream_number(label: str) -> int:
    """What an endpoint of that name is called beside the deltas of an answer that it makes (streams/kept.py)."""
    return xxh32_intdigest(label.encode())


def forget_series(provider: str, label: str) -> None:
    """The endpoint is none of the settings' any more, or has another name."""
    for gauge in (metrics.ENDPOINT_STATE, metrics.ENDPOINT_SET_ASIDE):
        gauge.remove_by_labels({"provider": provider, "endpoint": label})


def _seconds(provider: str, operation: Operation, error_type: str) -> Durations:
    return metrics.PROVIDER_SECONDS.labels(provider, metrics.GEN_AI_OPERATIONS[operation], error_type)


# prometheus-client looks a child up under a lock, 0.8 us each time.
@cache
def _tokens(provider: str, operation: Operation, kind: str) -> Histogram:
    return metrics.PROVIDER_TOKENS.labels(provider, metrics.GEN_AI_OPERATIONS[operation], kind)
