"""The page of a request tells the trace that it belongs to: its answer's, else that of its sender."""

from __future__ import annotations

from ops.ui.pages.request import _trace_id
from tests.support.requests import SampleRecord
from tests.unit.topics.test_trace_context import GOOD, TRACE

OTHER = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"


def test_the_answers_trace_comes_before_the_requests_and_a_broken_one_is_none() -> None:
    plain, good, other, broken = (
        SampleRecord(headers=[("traceparent", each)]) if each else SampleRecord() for each in (b"", GOOD, OTHER, b"x")
    )
    assert _trace_id([other, good]) == TRACE
    assert _trace_id([good, plain, None]) == TRACE
    assert _trace_id([good, broken]) == TRACE
    assert _trace_id([plain, None]) == ""
