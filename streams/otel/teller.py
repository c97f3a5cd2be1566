"""Which requests of a worker are told, and what is put by of them. Synchronous, no I/O.

Told are those that are sampled, that took longer than `slow_s`, and that failed; at most so many a second. A request that is not
told costs a hash and two comparisons (docs/opentelemetry.md has the figures).
"""

from __future__ import annotations

import time
from typing import Final

from xxhash import xxh3_64_intdigest

from schemas.response import CacheResult
from streams.kafka.records import Origin, Record
from streams.metrics import definitions as metrics
from streams.otel import names
from streams.otel.context import Contexts, SpanContext
from streams.otel.exporter import Exporter
from streams.otel.facts import Ended, Linked
from streams.otel.names import Attributes
from streams.pipeline import KeptAnswer, Outcome, PendingRequest, Rejected, is_cancelled
from streams.supervise import fault
from streams.trace.marks import joined
from topics.headers import read_request_headers

_MOST_HEAD_BYTES: Final = 16_384
"""Larger answers are told without their head."""
_ASKED: Final = (("max_tokens", names.MAX_TOKENS), ("max_completion_tokens", names.MAX_TOKENS),
                 ("temperature", names.TEMPERATURE), ("top_p", names.TOP_P))  # fmt: skip


class Rate:
    """At most `per_second` a second, and as many at once."""

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._left, self._at = float(per_second), now

    def allows(self, now: float) -> bool:
        """Whether one more may pass."""
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Teller:
    """The worker's `Ends`."""

    def __init__(self, contexts: Contexts, exporter: Exporter, slow_s: float, rate: Rate) -> None:
        self._contexts = contexts
        self._below = contexts.below
        self._exporter = exporter
        self._slow_s = slow_s
        self._rate = rate

    def ended(self, request: PendingRequest, outcome: Outcome, now: float) -> bytes | None:
        """See `Ends`."""
        try:
            return self._ended(request, outcome, now)
        except Exception as error:  # an answer is never lost for its spans
            fault("spans", error, "a request could not be told", record=request.event_id.decode())
            return None

    def _ended(self, request: PendingRequest, outcome: Outcome, now: float) -> bytes | None:
        failed = outcome.status in ("error", "expired", "rejected") and not is_cancelled(outcome)
        if not (failed or self._is_told(request, now)) or not self._may():
            return None
        context = self._contexts.of(request)
        marks = request.marks
        call = outcome.call
        if marks is not None and marks.earlier is not None:
            call = joined(marks.earlier, call)
        self._exporter.put(
            Ended(
                context=context,
                record=request.event_id.decode(),
                received_at=request.received_at,
                read_at=request.read_at or request.received_at,
                ended_at=now,
                status="cancelled" if is_cancelled(outcome) else outcome.status,
                attributes=_attributes(request, outcome.attempts),
                operation=metrics.GEN_AI_OPERATIONS[request.request.operation],
                error_type=outcome.error.type if failed and outcome.error is not None else "",
                cache=outcome.cache,
                of=None if outcome.of is None else self._linked(outcome.of),
                queued_at=_queued_at(request, outcome),
                dispatched_at=request.dispatched_at,
                waits=() if marks is None else tuple(marks.waits.items()),
                call_waits=() if call is None else tuple(call.waits.items()),
                tries=() if call is None else tuple(call.tries),
                model=outcome.model or str(request.request.payload["model"]),
                asked=_asked(request),
                input_tokens=outcome.usage.prompt_tokens,
                output_tokens=outcome.usage.completion_tokens,
                payload=self._head(outcome.payload),
            )
        )
        return request.traceparent or context.traceparent()

    def hit(self, request: PendingRequest, answer: KeptAnswer, found_in: CacheResult, now: float) -> bytes | None:
        """See `Ends`."""
        # Nearly every hit ends here: what `_is_told` would say of it, without three calls.
        if (
            request.traceparent is None
            and now - request.received_at < self._slow_s
            and xxh3_64_intdigest(request.event_id, int(request.received_at * 1000)) >= self._below
        ) or not self._is_told(request, now):
            return None
        return self.ended(request, answer.outcome(found_in), now)

    def refused(self, record: Record, origin: Origin, refused: Rejected, now: float) -> bytes | None:
        """See `Ends`."""
        try:
            return self._refused(record, origin, refused, now) if self._may() else None
        except Exception as error:
            fault("spans", error, "a record could not be told", record=refused.request_id)
            return None

    def _refused(self, record: Record, origin: Origin, refused: Rejected, now: float) -> bytes:
        headers = read_request_headers(record.headers)
        event_id, received_at = origin.event_id(record.offset), record.timestamp / 1000
        context = self._contexts.at(event_id, received_at, headers.traceparent, headers.tracestate)
        attributes: Attributes = {names.MESSAGE_ID: refused.request_id}
        if refused.agent_id is not None:
            attributes[names.AGENT] = refused.agent_id
        self._exporter.put(
            Ended(
                context=context,
                record=event_id.decode(),
                received_at=received_at,
                read_at=min(received_at, now),
                ended_at=now,
                status="rejected",
                attributes=attributes,
                error_type=refused.error_type,
            )
        )
        return headers.traceparent or context.traceparent()

    def _is_told(self, request: PendingRequest, now: float) -> bool:
        parent = request.traceparent
        if parent is None:
            sampled = self._contexts.samples(self._contexts.begins(request.event_id, request.received_at))
        else:
            sampled = parent[54] in b"13579bdf"
        return sampled or now - request.received_at >= self._slow_s

    def _may(self) -> bool:
        if self._rate.allows(time.monotonic()):
            return True
        metrics.TRACE_EXPORTS.labels("limited").inc()
        return False

    def _linked(self, other: PendingRequest) -> Linked:
        context: SpanContext = self._contexts.of(other)
        return Linked(context.trace_id, context.span_id, other.event_id.decode())

    def _head(self, payload: bytes | None) -> bytes:
        if payload is None or len(payload) > _MOST_HEAD_BYTES:
            return b""
        return self._exporter.room_for(payload)


def _queued_at(request: PendingRequest, outcome: Outcome) -> float | None:
    """When it began to wait for a call, its own or the one that it joined."""
    marks = request.marks
    if marks is None:
        return None
    return marks.passed_on_at if marks.queued_at is None and outcome.of is not None else marks.queued_at


def _attributes(request: PendingRequest, attempts: int) -> Attributes:
    found: Attributes = {
        names.MESSAGE_ID: request.request_id,
        names.BODY_SIZE: request.size,
        names.AGENT: request.agent_id,
        names.CLASS: request.priority,
        names.ATTEMPTS: attempts,
    }
    if request.request.conversation_id is not None:
        found[names.CONVERSATION] = request.request.conversation_id
    if request.tenant:
        found[names.TENANT] = request.tenant
    return found


def _asked(request: PendingRequest) -> Attributes:
    payload = request.request.payload
    found: Attributes = {}
    for key, name in _ASKED:
        value = payload.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    if request.streams or payload.get("stream") is True:
        found[names.STREAM] = True
    return found
