"""One provider: its endpoints, and everything that a call to it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from schemas.request import Operation, Request
from streams.limits import Budget
from streams.metrics import definitions as metrics
from streams.providers.endpoint import Endpoint
from streams.providers.failures import FaultRules
from streams.providers.formats.wire import Format
from streams.providers.http.body import Traffic
from streams.providers.http.memory import Bodies
from streams.providers.retry import RetryPolicy
from streams.providers.retry_budget import RetryBudget
from streams.slots import Slots

OnLoss = Literal["error", "restart", "reattach", "continue"]

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
    on_loss: OnLoss
    """What becomes of a stream that broke off after its first token."""
    connections: Slots
    bodies: Bodies
    planned_bytes: int
    """Bytes of bodies beyond which a warning is logged."""
    traffic: Traffic
    budget: Budget
    timing: Timing
    retry: RetryPolicy
    retry_budget: RetryBudget
    fault_rules: FaultRules
    leaving: list[Endpoint] = field(default_factory=list)
    """Endpoints that are none of the settings' any more, and perhaps still have calls under way."""
    _above_plan: bool = False
    _reported_bytes: int = 0

    @property
    def restarts(self) -> bool:
        """Whether such a stream may begin again before its reader's eyes: also where it cannot be gone on with."""
        return self.on_loss != "error"

    @property
    def resumes(self) -> bool:
        """Whether such a stream is gone on with."""
        return self.on_loss in ("reattach", "continue")

    def serves(self, operation: Operation) -> bool:
        return self.wire.path(operation) is not None

    def streams(self, operation: Operation, *, wanted: bool) -> bool:
        """Whether calls of the operation are streamed to us (`wanted`: for their caller). The formats stream chats only.

        What goes on without a reader is streamed for callers alone: of the others nobody would go on with it.
        """
        return (wanted or (self.stream and self.on_loss != "reattach")) and operation == "chat.completions"

    def encode(self, request: Request, model: str, *, streamed: bool) -> bytes:
        """The body of a call, with the model as this provider calls it. Raises CannotTranslateError."""
        if model != request.payload["model"]:
            request = request.model_copy(update={"payload": request.payload | {"model": model}})
        return self.wire.encode(request, stream=streamed)

    def take_body(self, size: int) -> None:
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
        self.leaving = [endpoint for endpoint in self.leaving if endpoint.in_flight]
        metrics.PROVIDER_CONNECTIONS.labels(self.name).set(self.connections.taken)
        metrics.PROVIDER_BODY_BYTES.labels(self.name, "requests").set(self.bodies.held)
        metrics.PROVIDER_BODY_BYTES.labels(self.name, "answers").set(self.traffic.buffers.held)
        metrics.PROVIDER_BYTES.labels(self.name).inc(self.traffic.wire_bytes - self._reported_bytes)
        self._reported_bytes = self.traffic.wire_bytes
