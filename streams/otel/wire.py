"""Spans as the bytes of OTLP, and what a collector says to them. Needs the extra `headrace[otel]`.

https://opentelemetry.io/docs/specs/otlp/: an ExportTraceServiceRequest in protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from streams.otel.names import Value
from streams.otel.spans import Kind, Span

_KINDS: Final[Mapping[Kind, trace_pb2.Span.SpanKind.ValueType]] = {
    "internal": trace_pb2.Span.SPAN_KIND_INTERNAL,
    "server": trace_pb2.Span.SPAN_KIND_SERVER,
    "client": trace_pb2.Span.SPAN_KIND_CLIENT,
    "producer": trace_pb2.Span.SPAN_KIND_PRODUCER,
    "consumer": trace_pb2.Span.SPAN_KIND_CONSUMER,
}
_SAMPLED: Final = 1


def encode(spans: Sequence[Span], resource: Mapping[str, str], version: str) -> bytes:
    """A request of these spans, of one process."""
    scope = trace_pb2.ScopeSpans(
        scope=InstrumentationScope(name="headrace", version=version), spans=[_span(span) for span in spans]
    )
    of = trace_pb2.ResourceSpans(resource=Resource(attributes=_attributes(resource)), scope_spans=[scope])
    body: bytes = ExportTraceServiceRequest(resource_spans=[of]).SerializeToString()
    return body


def refused_of(body: bytes) -> tuple[int, str]:
    """How many spans a collector took not, by its good answer, and why; (0, "") where that cannot be read."""
    try:
        said = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # protobuf's DecodeError, whose module differs by implementation
        return 0, ""
    return max(0, said.rejected_spans), said.error_message


def _span(span: Span) -> trace_pb2.Span:
    error = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR) if span.error else None
    return trace_pb2.Span(
        trace_id=span.trace_id.to_bytes(16, "big"),
        span_id=span.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        trace_state=span.tracestate,
        flags=_SAMPLED,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=_ns(span.began_at),
        end_time_unix_nano=_ns(span.ended_at),
        attributes=_attributes(span.attributes),
        events=[
            trace_pb2.Span.Event(name=each.name, time_unix_nano=_ns(each.at), attributes=_attributes(each.attributes))
            for each in span.events
        ],
        links=[
            trace_pb2.Span.Link(
                trace_id=each.trace_id.to_bytes(16, "big"),
                span_id=each.span_id.to_bytes(8, "big"),
                attributes=_attributes(each.attributes),
            )
            for each in span.links
        ],
        status=error,
    )


def _attributes(attributes: Mapping[str, Value] | Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=max(-(2**63), min(value, 2**63 - 1)))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=each) for each in value]))


def _ns(at: float) -> int:
    return max(0, round(at * 1_000_000) * 1000)
