"""The last stage: responses and dead letters out; a record is finished when the broker has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Literal

from aiokafka.structs import TopicPartition

from schemas import limits
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import clip
from schemas.metric_sample import Component
from schemas.response import CacheResult, HitEncoder, WireError, encode_response
from streams.delivery.batch import Message
from streams.delivery.outbox import Outbox
from streams.delivery.receipts import Both, Paid
from streams.delivery.redacted import redacted
from streams.kafka.cluster import Cluster
from streams.kafka.records import Origin, Original, Record
from streams.metrics import definitions as metrics
from streams.metrics.tenants import tenant_series
from streams.pipeline import Ends, Hit, Outcome, PendingRequest, Rejected, Source, error_outcome, is_cancelled
from streams.trace.header import header_of
from streams.trace.marks import joined
from topics.headers import (
    TRACE,
    read_request_headers,
    response_headers,
    response_headers_of,
    rfc3339,
    shared_by_responses,
)
from topics.names import V1, TopicNames
from topics.partitioner import partition_for

_SOURCE = b"/headrace"
"""`ce_source` of every answer: the fleet, not the worker, so that an answer sent twice is known as one event."""

_SAFE_ANYWHERE_BYTES = 16_384
"""Smaller responses are taken to fit any reply topic."""


_LARGEST_LETTER_BYTES = 16 * limits.MIB
"""Larger values are left out of their dead letter. They came compressed: a few KB can hold a GB, and compressing that
again would stop the worker for seconds. 16 MiB cost 0.05 to 0.5 s here (gzip, default level)."""


Traces = Literal["none", "called", "all"]
"""Which answers have the header `trace`: `called` are all that are no hits in the cache."""


class Delivery:
    """Writes answers. `on_paid()` is called when a request that cost a provider call is finished, `on_cost` once with each
    request that a stage has answered."""

    def __init__(
        self,
        cluster: Cluster,
        outbox: Outbox,
        on_paid: Callable[[], None],
        now: Callable[[], float],
        names: TopicNames = V1,
        traces: Traces = "called",
        ends: Ends | None = None,
        on_cost: Callable[[PendingRequest, Outcome], None] = lambda _request, _outcome: None,
    ) -> None:
        self._on_cost = on_cost
        self._traces = traces
        self._ends = ends
        self._names = names
        self._cluster = cluster
        self._outbox = outbox
        self._on_paid = on_paid
        self._now = now

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        """Write the response; finishes the record once it is acked. Costs no wait."""
        self._on_cost(request, outcome)
        self._write(request, outcome)

    def _write(self, request: PendingRequest, outcome: Outcome, told: bytes | None = None) -> None:
        """`told`: as `Ends` said it of an answer that this one stands for."""
        now = self._now()
        total_s = max(0.0, now - request.received_at)
        total_ms = queue_ms = round(total_s * 1000, 3)
        if request.dispatched_at is not None:
            queue_ms = round(max(0.0, request.dispatched_at - request.received_at) * 1000, 3)
        completed_at, written = _moment(int(now * 1000))
        value = encode_response(
            request_id=request.request_id,
            agent_id=request.agent_id,
            conversation_id=request.request.conversation_id,
            status=outcome.status,
            payload=outcome.payload,
            error=outcome.error,
            usage=outcome.usage,
            cache=outcome.cache,
            provider=outcome.provider,
            model=outcome.model,
            attempts=outcome.attempts,
            cost=outcome.spent.cost(),
            queue_ms=queue_ms,
            provider_ms=round(outcome.provider_s * 1000, 3),
            total_ms=total_ms,
            completed_at=completed_at,
        )
        if told is None and self._ends is not None:
            told = self._ends.ended(request, outcome, now)
        headers = response_headers(
            event_id=request.event_id,
            source=_SOURCE,
            time=written,
            request_id=request.request_id,
            traceparent=request.traceparent or told,
            tracestate=request.tracestate,
        )
        trace = self._trace(request, outcome, now)
        if trace is not None:
            headers.append((TRACE, trace))
        receipt: Source = request.source if not outcome.attempts else Paid(request.source, self._on_paid)
        if outcome.dead_letter and outcome.error is not None and request.original is not None:
            receipt = Both(receipt, request.index)
            letter = _letter(
                request.original, "exhausted", "providers", outcome.error, outcome.attempts, outcome.provider
            )
            self._bury(request.original.record, request.original.record.value, letter, receipt, request.index, trace)
            metrics.DEAD_LETTERS.labels("exhausted").inc()
        key = request.agent_id.encode()
        on_refused = None
        if len(value) > _SAFE_ANYWHERE_BYTES:
            on_refused = partial(self._respond_smaller, request, outcome, told)
        self._outbox.post(
            self._partition(request.reply_topic, key, request.reply_partition),
            Message(
                key,
                value,
                headers,
                receipt,
                request.index,
                on_refused,
                self._on_undeliverable(request, receipt, outcome.attempts, trace),
            ),
        )
        counted = "cancelled" if is_cancelled(outcome) else outcome.status
        metrics.RESPONSES.count(request.priority, _ended_by(outcome), request.request.operation, counted, total_s)
        if request.tenant:
            used = outcome.usage
            tenant_series.count(
                request.tenant, counted, (used.prompt_tokens, used.completion_tokens), outcome.spent.pico
            )

    def respond_hits(self, hits: Sequence[Hit], found_in: CacheResult) -> None:
        """As `respond` of each; what they share is made once (docs/performance.md has the cost)."""
        now, post, ends = self._now(), self._outbox.post, self._ends
        written = _moment(int(now * 1000))[1]
        shared, encode = shared_by_responses(_SOURCE, written), HitEncoder(found_in, written).encode
        places: dict[str, Sequence[TopicPartition]] = {}
        for request, answer in hits:
            total_s = max(0.0, now - request.received_at)
            value = encode(
                request.request_id,
                request.agent_id,
                request.request.conversation_id,
                answer.payload,
                answer.provider,
                answer.model,
                total_s * 1000,
            )
            told = None if ends is None else ends.hit(request, answer, found_in, now)
            traceparent = request.traceparent or told
            headers = response_headers_of(shared, request.event_id, request.request_id, traceparent, request.tracestate)
            on_refused = None
            if len(value) > _SAFE_ANYWHERE_BYTES:
                on_refused = partial(self._respond_smaller, request, answer.outcome(found_in), told)
            if self._traces == "all":
                header = header_of(request.received_at, now, read_at=request.read_at, cache=found_in)
                headers.append((TRACE, header))
            topic, key = request.reply_topic, request.agent_id.encode()
            if topic not in places:
                places[topic] = _places(topic, self._partitions(topic))
            to = _choose(places[topic], key, request.reply_partition)
            gives_up = None if topic == self._names.responses else self._on_undeliverable(request, request.source, 0)
            post(to, Message(key, value, headers, request.source, request.index, on_refused, gives_up))
            metrics.RESPONSES.count(request.priority, "cache", request.request.operation, "ok", total_s)
            if request.tenant:
                tenant_series.count(request.tenant, "ok")

    def _trace(self, request: PendingRequest, outcome: Outcome, now: float) -> bytes | None:
        marks = request.marks
        if self._traces == "none" or (marks is None and self._traces == "called"):
            return None
        return header_of(
            request.received_at,
            now,
            read_at=request.read_at,
            cache=outcome.cache,
            marks=marks,
            dispatched_at=request.dispatched_at,
            attempts=outcome.attempts,
            call=outcome.call if marks is None or marks.earlier is None else joined(marks.earlier, outcome.call),
        )

    def abandon(self, request: PendingRequest) -> None:
        """Nothing to write: the record's new owner does."""

    def reject(self, record: Record, origin: Origin, source: Source, index: int, refused: Rejected) -> None:
        """Write a dead letter and, if the caller can be told, a `rejected` response; the record is finished after both."""
        told = None if self._ends is None else self._ends.refused(record, origin, refused, self._now())
        receipt = source if refused.agent_id is None else Both(source, index)
        error = WireError(refused.error_type, refused.message, retryable=False)
        letter = _letter(Original(record, origin), refused.reason, "intake", error, attempts=0)
        if record.value is not None and len(record.value) > _LARGEST_LETTER_BYTES:
            self._bury_without_value(record, letter, receipt, index)
        else:
            self._bury(record, record.value, letter, receipt, index)
        metrics.DEAD_LETTERS.labels(refused.reason).inc()
        if refused.agent_id is not None:
            context = read_request_headers(record.headers)
            traceparent = context.traceparent or told
            self._respond_rejected(
                record, origin, receipt, index, refused, refused.agent_id, (traceparent, context.tracestate)
            )

    def _on_undeliverable(
        self, request: PendingRequest, receipt: Source, attempts: int, trace: bytes | None = None
    ) -> Callable[[str], None] | None:
        """What becomes of an answer whose topic is given up; None for topics of ours, which never are."""
        if request.reply_topic == self._names.responses or request.original is None:
            return None
        return partial(self._bury_undeliverable, request, request.original, receipt, attempts, trace)

    def _bury_undeliverable(
        self,
        request: PendingRequest,
        original: Original,
        receipt: Source,
        attempts: int,
        trace: bytes | None,
        reason: str,
    ) -> None:
        """The caller's own topic takes no answer: the request becomes a dead letter, to be replayed when it does."""
        message = f"the answer could not be written to {request.reply_topic}: {reason}"
        error = WireError("invalid_reply_to", clip(message), retryable=True)
        letter = _letter(original, "undeliverable", "delivery", error, attempts)
        self._bury(original.record, original.record.value, letter, receipt, request.index, trace)
        metrics.DEAD_LETTERS.labels("undeliverable").inc()

    def _bury(
        self,
        record: Record,
        value: bytes | None,
        letter: DeadLetter,
        receipt: Source,
        index: int,
        trace: bytes | None = None,
    ) -> None:
        topic = self._dead_letters_of(letter)
        to = TopicPartition(topic, letter.dlq_partition % self._partitions(topic))
        value, headers, letter = redacted(value, record.headers, letter)
        on_refused = partial(self._bury_without_value, record, letter, receipt, index, trace) if value else None
        self._outbox.post(to, Message(record.key, value, letter.to_headers(headers, trace), receipt, index, on_refused))

    def _bury_without_value(
        self, record: Record, letter: DeadLetter, receipt: Source, index: int, trace: bytes | None = None
    ) -> None:
        """The value cannot be written as a dead letter, and must not block what is behind it."""
        where = f"{letter.dlq_topic}:{letter.dlq_partition}:{letter.dlq_offset}"
        message = (
            f"value left out, too large for {self._dead_letters_of(letter)}: see {where}; {letter.dlq_error_message}"
        )
        self._bury(record, None, letter.model_copy(update={"dlq_error_message": clip(message)}), receipt, index, trace)

    def _dead_letters_of(self, letter: DeadLetter) -> str:
        """A tenant's are its own: what its requests hold is nobody else's to read."""
        return self._names.request_topics[letter.dlq_topic].dead_letters

    def _respond_rejected(
        self,
        record: Record,
        origin: Origin,
        receipt: Source,
        index: int,
        refused: Rejected,
        agent_id: str,
        context: tuple[bytes | None, bytes | None],
    ) -> None:
        now = self._now()
        completed_at, written = _moment(int(now * 1000))
        total_s = max(0.0, now - record.timestamp / 1000)
        value = encode_response(
            request_id=refused.request_id,
            agent_id=agent_id,
            conversation_id=refused.conversation_id,
            status="rejected",
            error=WireError(refused.error_type, refused.message, retryable=False),
            queue_ms=0.0,
            provider_ms=0.0,
            total_ms=round(total_s * 1000, 3),
            completed_at=completed_at,
        )
        headers = response_headers(
            event_id=origin.event_id(record.offset),
            source=_SOURCE,
            time=written,
            request_id=refused.request_id,
            traceparent=context[0],
            tracestate=context[1],
        )
        key = agent_id.encode()
        own = self._names.request_topics[origin.topic].responses
        to = self._partition(refused.reply_topic or own, key, refused.reply_partition)
        self._outbox.post(to, Message(key, value, headers, receipt, index))
        metrics.RESPONSES.count(self._names.priority_of[origin.topic], "intake", "unknown", "rejected", total_s)
        if tenant := self._names.request_topics[origin.topic].tenant:
            tenant_series.count(tenant, "rejected")

    def _respond_smaller(self, request: PendingRequest, outcome: Outcome, told: bytes | None) -> None:
        """The reply topic takes no message of this size: say so instead."""
        message = f"the answer is larger than the topic {request.reply_topic} takes (max.message.bytes)"
        smaller = error_outcome("answer_too_large", message)
        smaller = replace(outcome, status=smaller.status, payload=None, error=smaller.error, cache="none")
        self._write(request, smaller, told)

    def _partition(self, topic: str, key: bytes, wanted: int | None = None) -> TopicPartition:
        return _choose(_places(topic, self._partitions(topic)), key, wanted)

    def _partitions(self, topic: str) -> int:
        """How many the topic has now; 1 where it has just vanished: partition 0 is the one that will be there again."""
        return len(self._cluster.partitions(topic) or (0,))


def _letter(
    original: Original,
    reason: DeadLetterReason,
    stage: str,
    error: WireError,
    attempts: int,
    provider: str | None = None,
) -> DeadLetter:
    last_offset = getattr(original.record, "last_offset", original.record.offset)
    return DeadLetter(
        dlq_reason=reason,
        dlq_stage=stage,
        dlq_error_type=error.type,
        dlq_error_message=error.message,
        dlq_topic=original.origin.topic,
        dlq_partition=original.origin.partition,
        dlq_offset=original.record.offset,
        dlq_last_offset=last_offset if last_offset != original.record.offset else None,
        dlq_timestamp=original.record.timestamp,
        dlq_attempts=attempts,
        dlq_provider=None if provider is None else provider[: limits.MODEL_CHARS],
    )


@lru_cache(maxsize=256)
def _places(topic: str, partitions: int) -> Sequence[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(partitions)]


def _choose(places: Sequence[TopicPartition], key: bytes, wanted: int | None) -> TopicPartition:
    """The partition that the caller reads, where it says so and there is one; else that of the key."""
    if wanted is not None and wanted < len(places):
        return places[wanted]
    return places[partition_for(key, len(places))]


@lru_cache(maxsize=1)
def _moment(unix_ms: int) -> tuple[datetime, bytes]:
    """A moment and how headers write it: the answers of one millisecond share it (1.4 us otherwise)."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment, rfc3339(moment)


def _ended_by(outcome: Outcome) -> Component:
    """The stage that ended the request, for the count of answers."""
    if outcome.cache != "none":
        return "cache"
    if outcome.attempts:
        return "providers"
    return "intake" if outcome.error is not None and outcome.error.type == "invalid_reply_to" else "flow"
