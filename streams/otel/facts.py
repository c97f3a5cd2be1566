"""What is put by of a request that is told: small, and nothing of what was asked or answered but the head of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.otel.context import SpanContext
from streams.otel.names import Attributes
from streams.trace.marks import Try, Wait


class Linked(NamedTuple):
    """Another request's span, whose call answered this one."""

    trace_id: int
    span_id: int
    record: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A request, or a record that is none, at its end. Times are Unix seconds."""

    context: SpanContext
    record: str
    """`topic:partition:offset`."""
    received_at: float
    read_at: float
    ended_at: float
    status: str
    attributes: Attributes
    """Of its span, beyond those that follow from the other fields."""
    operation: str = ""
    error_type: str = ""
    cache: str = "none"
    of: Linked | None = None
    queued_at: float | None = None
    dispatched_at: float | None = None
    waits: Sequence[tuple[Wait, float]] = ()
    call_waits: Sequence[tuple[Wait, float]] = ()
    tries: Sequence[Try] = ()
    model: str = ""
    """Of the last call, as its provider calls it; else as it was asked for."""
    asked: Attributes = field(default_factory=dict)
    """Attributes of every attempt: parameters of the request."""
    input_tokens: int = 0
    output_tokens: int = 0
    payload: bytes = b""
    """The answer, where it is small: the model, the id and the reason that it ended are read from it later, and nothing else."""


@dataclass(frozen=True, slots=True)
class Served:
    """An HTTP request of a front, at its end. Times are Unix seconds."""

    trace_id: int
    parent_id: int
    span_id: int
    producer_id: int
    tracestate: str
    method: str
    route: str
    status: int
    began_at: float
    ended_at: float
    request_id: str
    agent_id: str
    model: str
    operation: str
    topic: str
    record: str
    """`topic:partition:offset`; "": the broker did not take it."""
    sent_at: float
    acked_at: float


Told = Ended | Served
