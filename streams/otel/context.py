"""Trace context of requests: which trace and span a request is, what its calls bear, and which requests are sampled. Pure.

A request with a `traceparent` is a part of that trace; one without begins a trace whose id follows from its record's place and
time, so that every process that meets the record agrees on it, and on whether it is sampled. Its span is of this process: a
record that another worker takes over has a span of its own in the same trace.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from streams.pipeline import PendingRequest
from streams.trace.marks import AttemptSpan, CallContext, Pairs

_SPACE: Final = 1 << 64
_HIGH_SEED: Final = 0x9E3779B97F4A7C15
"""Any odd number: the upper half of a trace id is another hash than the lower one."""


class SpanContext(NamedTuple):
    """The span of a request, and where it hangs. `parent_id` 0: it is the first of its trace."""

    trace_id: int
    span_id: int
    parent_id: int
    sampled: bool
    tracestate: str = ""

    def traceparent(self) -> bytes:
        """What bears on what this span brings about; sampled, as the span is told."""
        return traceparent(self.trace_id, self.span_id, sampled=True)


def traceparent(trace_id: int, span_id: int, *, sampled: bool) -> bytes:
    """As W3C writes it.

    >>> traceparent(10, 11, sampled=True)
    b'00-0000000000000000000000000000000a-000000000000000b-01'
    """
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, sampled)


def new_span_id() -> int:
    """An id that no other span has."""
    return random.getrandbits(64) or 1


class Contexts:
    """Contexts of one process. `share`: of the requests without a `traceparent` that are sampled, between 0 and 1. `salt`: a
    number that no other process has.

    `exports`: whether spans are told at all; `upstream`: whether providers get the context.
    """

    def __init__(self, share: float, salt: int, *, exports: bool, upstream: bool = True) -> None:
        self.exports = exports
        self._upstream = upstream
        self.below = int(share * _SPACE)
        """Traces are sampled whose id's lower half is below it."""
        self._salt = salt & (_SPACE - 1)

    def samples(self, low: int) -> bool:
        """Whether a trace is told, by the lower half of its id. Whoever knows the id says the same."""
        return low < self.below

    def begins(self, event_id: bytes, received_at: float) -> int:
        """The lower half of the id of a trace that begins with a record: one hash, so that most records cost no more."""
        return xxh3_64_intdigest(event_id, int(received_at * 1000))

    def at(self, event_id: bytes, received_at: float, parent: bytes | None, tracestate: bytes | None) -> SpanContext:
        """The span of a record. `parent`: its `traceparent`, which is well formed."""
        span_id = xxh3_64_intdigest(event_id, self._salt) or 1
        if parent is not None:
            trace_id, parent_id = int(parent[3:35], 16), int(parent[36:52], 16)
            return SpanContext(
                trace_id, span_id, parent_id, bool(int(parent[53:55], 16) & 1), (tracestate or b"").decode()
            )
        low = self.begins(event_id, received_at)
        high = xxh3_64_intdigest(event_id, int(received_at * 1000) ^ _HIGH_SEED)
        return SpanContext((high << 64 | low) or 1, span_id, 0, self.samples(low))

    def of(self, request: PendingRequest) -> SpanContext:
        """The span of a request."""
        return self.at(request.event_id, request.received_at, request.traceparent, request.tracestate)

    def call(self, request: PendingRequest) -> CallContext | None:
        """What a call for the request bears; None: nothing, as it is in no trace, or providers are not to know."""
        if not self._upstream:
            return None
        if request.traceparent is None:
            if not self.exports or not self.samples(self.begins(request.event_id, request.received_at)):
                return None
            return _OwnSpans(self.of(request))
        if not self.exports:
            return _PassedOn(_pairs(request.traceparent, request.tracestate))
        return _OwnSpans(self.of(request))


def _pairs(parent: bytes, tracestate: bytes | None) -> Pairs:
    pairs = [("traceparent", parent.decode())]
    return pairs if tracestate is None else [*pairs, ("tracestate", tracestate.decode())]


class _PassedOn:
    """Of a process that tells no spans: what came goes on as it is."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def attempt(self) -> tuple[None, Pairs]:
        return None, self._pairs


class _OwnSpans:
    """Each attempt is a span of its own below the request's."""

    def __init__(self, of: SpanContext) -> None:
        self._of = of

    def attempt(self) -> tuple[AttemptSpan, Pairs]:
        of = self._of
        span = AttemptSpan(of.trace_id, new_span_id(), of.span_id)
        parent = traceparent(of.trace_id, span.span_id, sampled=of.sampled)
        return span, _pairs(parent, of.tracestate.encode() or None)
