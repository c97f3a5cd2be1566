"""Spans of a worker's request, of what was put by at its end. Pure.

    process agent.requests.normal   CONSUMER   from the moment at which the worker had the record to its answer
      queue                         INTERNAL   its wait for a call, with what it waited for
      chat small                    CLIENT     each attempt

Names of spans come from small sets, whatever strangers write: metrics are made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest

from streams.otel import names
from streams.otel.facts import Ended
from streams.otel.names import Attributes, Semconv
from streams.trace.marks import Try

Kind = Literal["internal", "server", "client", "producer", "consumer"]

MOST_CHARS: Final = 256
"""Of a text in a span."""
_MOST_TEXTS: Final = 16
_MOST_MODELS: Final = 100


class Event(NamedTuple):
    """A moment of a span."""

    name: str
    at: float
    attributes: Attributes


class Link(NamedTuple):
    """Another span that has to do with this one and is not its parent."""

    trace_id: int
    span_id: int
    attributes: Attributes


@dataclass(slots=True)
class Span:
    """One span. Times are Unix seconds. `error`: its `error.type`; "": it went well, or nobody's fault is known."""

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    kind: Kind
    began_at: float
    ended_at: float
    attributes: Attributes
    error: str = ""
    tracestate: str = ""
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()


@dataclass(slots=True)
class ModelNames:
    """Models that may stand in names of spans: the first 100. A caller's text would else be as many names as it likes."""

    _known: set[str] = field(default_factory=set)

    def named(self, operation: str, model: str) -> str:
        """`chat small`, or `chat`."""
        if model not in self._known:
            if not model or len(self._known) >= _MOST_MODELS:
                return operation
            self._known.add(model)
        return clip(f"{operation} {model}")


def clip(text: str) -> str:
    """A text of bounded length that can be written as UTF-8.

    >>> len(clip("x" * 10_000)), clip("\\udc80")
    (256, '?')
    """
    return text[:MOST_CHARS].encode("utf-8", "replace").decode()


def place(record: str, attributes: Attributes) -> str:
    """The topic of a record; its partition and offset become attributes."""
    topic, _, rest = record.partition(":")
    partition, _, offset = rest.partition(":")
    attributes[names.DESTINATION] = clip(topic)
    if partition.isdecimal() and offset.isdecimal():
        attributes[names.PARTITION] = partition
        attributes[names.OFFSET] = int(offset)
    return topic


def spans_of(ended: Ended, models: ModelNames, semconv: Semconv, group: str) -> list[Span]:
    """The request's own span, then what is below it."""
    found = [_process(ended, group)]
    if ended.queued_at is not None:
        found.append(_queue(ended, ended.queued_at))
    last = len(ended.tries) - 1
    head = _head_of(ended) if ended.tries and ended.tries[last].outcome == "ok" else {}
    for number, one in enumerate(ended.tries):
        found.append(_attempt(ended, number, one, head if number == last else {}, models))
    return [_under(span, semconv) for span in found]


def _under(span: Span, semconv: Semconv) -> Span:
    if semconv == "new":
        return span
    span.attributes = names.written(span.attributes, semconv)
    return span


def _process(ended: Ended, group: str) -> Span:
    attributes: Attributes = {
        names.MESSAGING_SYSTEM: "kafka",
        names.OPERATION_TYPE: "process",
        names.OPERATION_NAME: "process",
        names.GROUP: clip(group),
        **bounded(ended.attributes),
        names.STATUS: ended.status,
        names.CACHE: ended.cache,
        names.LOG_WAIT: _ms(max(0.0, ended.read_at - ended.received_at)),
    }
    topic = place(ended.record, attributes)
    for (reason, _), seconds in ended.call_waits:
        attributes[names.wait_ms(reason)] = _ms(seconds)
    events, links = [], []
    if ended.cache in ("memory", "disk"):
        events.append(Event(names.CACHE_HIT, ended.ended_at, {names.CACHE: ended.cache}))
    if ended.of is not None:
        record = clip(ended.of.record)
        events.append(Event(names.CACHE_JOINED, ended.ended_at, {names.RECORD: record}))
        links.append(Link(ended.of.trace_id, ended.of.span_id, {names.LINK: "joined", names.RECORD: record}))
    if ended.error_type:
        attributes[names.ERROR_TYPE] = ended.error_type
    context = ended.context
    return Span(
        context.trace_id,
        context.span_id,
        context.parent_id,
        f"process {clip(topic)}",
        "consumer",
        ended.read_at,
        max(ended.read_at, ended.ended_at),
        attributes,
        ended.error_type,
        context.tracestate,
        events,
        links,
    )


def _queue(ended: Ended, queued_at: float) -> Span:
    waits = sorted(ended.waits, key=lambda each: -each[1])
    attributes: Attributes = {} if ended.of is None else {names.WAIT_REASON: "joined"}
    if waits:
        (reason, of), _ = waits[0]
        attributes[names.WAIT_REASON] = f"{reason}: {of}" if of else reason
    for (reason, _), seconds in waits:
        name = names.wait_ms(reason)
        attributes[name] = _ms(seconds) + float(attributes.get(name, 0.0))  # type: ignore[arg-type]
    until = ended.ended_at if ended.dispatched_at is None else ended.dispatched_at
    return _below(ended, "queue", "queue", "internal", queued_at, until, attributes)


def _attempt(ended: Ended, number: int, one: Try, head: Attributes, models: ModelNames) -> Span:
    provider, _, rest = one.endpoint.partition(" (")
    host, _, port = rest.rstrip(")").rpartition(":")
    attributes: Attributes = {
        names.GEN_AI_OPERATION: ended.operation,
        names.GEN_AI_PROVIDER: clip(provider),
        names.REQUEST_MODEL: clip(ended.model),
        names.ENDPOINT: clip(one.endpoint),
        **bounded(ended.asked),
        **head,
    }
    if host and port.isdecimal():
        attributes[names.SERVER_ADDRESS], attributes[names.SERVER_PORT] = clip(host), int(port)
    elif rest:
        attributes[names.SERVER_ADDRESS] = clip(rest.rstrip(")"))
    error = "" if one.outcome in ("ok", "cancelled") else one.outcome
    if one.status:
        attributes[names.HTTP_STATUS] = one.status
    if error:
        attributes[names.ERROR_TYPE] = error
    name = models.named(ended.operation, ended.model)
    span = _below(
        ended, f"attempt {number}", name, "client", one.began_at, one.began_at + one.took_s, attributes, error
    )
    sent = one.span
    if sent is None:
        return span
    own = sent.parent_id == ended.context.span_id and sent.trace_id == ended.context.trace_id
    if own:
        span.span_id = sent.span_id
    else:  # the call was made for several requests: it went out in the trace of the first
        span.links = (Link(sent.trace_id, sent.span_id, {names.LINK: "shared call"}),)
    return span


def _below(
    ended: Ended,
    of: str,
    name: str,
    kind: Kind,
    began_at: float,
    ended_at: float,
    attributes: Attributes,
    error: str = "",
) -> Span:
    context = ended.context
    span_id = xxh3_64_intdigest(of.encode(), context.span_id) or 1
    return Span(
        context.trace_id,
        span_id,
        context.span_id,
        name,
        kind,
        began_at,
        max(began_at, ended_at),
        attributes,
        error,
        context.tracestate,
    )


def _head_of(ended: Ended) -> Attributes:
    """What of the answer may be told: which model gave it, its id, why it ended, how many tokens it took."""
    found: Attributes = {names.INPUT_TOKENS: ended.input_tokens, names.OUTPUT_TOKENS: ended.output_tokens}
    answer: Any = None
    if ended.payload:
        try:
            answer = orjson.loads(ended.payload)
        except ValueError:
            answer = None
    if not isinstance(answer, dict):
        return found
    for key, name in (("model", names.RESPONSE_MODEL), ("id", names.RESPONSE_ID)):
        if isinstance(said := answer.get(key), str):
            found[name] = clip(said)
    reasons = tuple(_finish_reasons(answer.get("choices")))
    if reasons:
        found[names.FINISH_REASONS] = reasons
    return found


def _finish_reasons(choices: object) -> Iterable[str]:
    for choice in choices[:_MOST_TEXTS] if isinstance(choices, list) else ():
        reason = choice.get("finish_reason") if isinstance(choice, dict) else None
        if isinstance(reason, str):
            yield clip(reason)


def bounded(attributes: Attributes) -> Attributes:
    """With texts of bounded length."""
    return {name: clip(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
