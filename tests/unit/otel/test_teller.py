"""Who is told: sampled, slow and failed requests, agreed on by all processes, at most so many a second."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.response import CacheResult, WireError
from streams.kafka.records import Origin
from streams.metrics import definitions as metrics
from streams.otel.context import Contexts
from streams.pipeline import Outcome, PendingRequest, Rejected, cancelled, expired
from tests.support.requests import pending
from tests.unit.otel.test_spans import telling
from tests.unit.topics.test_trace_context import GOOD

OK = Outcome("ok", b"{}")
UNSAMPLED = GOOD[:-1] + b"0"
FAILED = Outcome("error", error=WireError("provider_error", "x", True))


def is_told(request: PendingRequest, outcome: Outcome, now: float = 1001.0, **rules: Any) -> bool:
    teller, kept = telling(**rules)
    header = teller.ended(request, outcome, now)
    assert (header is not None) == bool(kept.told)
    assert header is None or request.traceparent in (None, header)
    return bool(kept.told)


@pytest.mark.parametrize(
    ("parent", "outcome", "took_s", "told"),
    [
        (GOOD, OK, 1, True),
        (UNSAMPLED, OK, 1, False),
        (None, OK, 1, False),
        (None, OK, 10, True),
        (UNSAMPLED, OK, 10, True),
        (None, FAILED, 1, True),
        (UNSAMPLED, FAILED, 1, True),
        (None, expired("in the queue"), 1, True),
        (None, cancelled("the user left"), 1, False),
        (GOOD, cancelled("the user left"), 1, True),
    ],
)
def test_sampled_slow_and_failed_requests_are_told_and_no_others(
    parent: bytes | None, outcome: Outcome, took_s: float, told: bool
) -> None:
    request = pending(traceparent=parent)
    assert is_told(request, outcome, 1000.0 + took_s, share=0.0, slow_s=10.0) == told


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.floats(0, 1))
def test_processes_agree_on_what_is_sampled_and_in_which_trace_but_have_spans_of_their_own(
    one: int, other: int, share: float
) -> None:
    request = pending()
    here, there = (Contexts(share, salt, exports=True).of(request) for salt in (one, other))
    assert (here.trace_id, here.sampled, here.parent_id) == (there.trace_id, there.sampled, 0)
    assert (here.span_id == there.span_id) == ((one - other) % 2**64 == 0)


def test_a_share_of_requests_is_sampled_and_a_larger_share_has_the_smaller_one_in_it() -> None:
    requests = [pending() for _ in range(5000)]
    few, more = (
        {each.event_id for each in requests if Contexts(share, 1, exports=True).of(each).sampled}
        for share in (0.1, 0.3)
    )
    assert 350 < len(few) < 650
    assert few < more
    assert not any(Contexts(0.0, 1, exports=True).of(each).sampled for each in requests)
    assert all(Contexts(1.0, 1, exports=True).of(each).sampled for each in requests)


def test_more_than_so_many_a_second_are_counted_and_not_told() -> None:
    teller, kept = telling(rate=5)
    before = metrics.TRACE_EXPORTS.labels("limited")._value.get()
    for _ in range(100):
        teller.ended(pending(), FAILED, 1001.0)
    assert 5 <= len(kept.told) < 20
    assert metrics.TRACE_EXPORTS.labels("limited")._value.get() - before == 100 - len(kept.told)


class Record:
    """A record that is no request."""

    offset, timestamp, value, key, timestamp_type = 9, 1_000_000, b"{", None, 1

    def __init__(self, *headers: tuple[str, bytes]) -> None:
        self.headers = headers


def test_a_record_that_is_no_request_is_told_below_its_senders_span() -> None:
    teller, kept = telling(share=0.0)
    refused = Rejected("poison", "invalid_request", "SECRET", "agent.requests.low:3:9")
    origin = Origin("agent.requests.low", 3)
    assert teller.refused(Record(("traceparent", GOOD)), origin, refused, 1001.0) == GOOD
    found = kept.told[0]
    assert (found.record, found.status, found.error_type) == ("agent.requests.low:3:9", "rejected", "invalid_request")
    assert found.context.trace_id == int(GOOD[3:35], 16)
    assert teller.refused(Record(), origin, refused, 1001.0) is not None


def test_without_an_export_calls_bear_what_came_and_nothing_where_nothing_came() -> None:
    silent = Contexts(1.0, 7, exports=False)
    call = silent.call(pending(traceparent=UNSAMPLED))
    assert call is not None
    assert call.attempt() == (None, [("traceparent", UNSAMPLED.decode())])
    assert silent.call(pending()) is None
    assert Contexts(1.0, 7, exports=True, upstream=False).call(pending(traceparent=GOOD)) is None


class Hit:
    """An answer that the cache holds."""

    payload, provider, model = b"{}", "sim", "small"

    def outcome(self, found_in: CacheResult) -> Outcome:
        return Outcome("ok", b"{}", cache=found_in)


@given(st.sampled_from([None, GOOD, UNSAMPLED]), st.floats(0, 1), st.floats(0, 20))
def test_a_hit_is_told_where_any_other_good_answer_would_be(parent: bytes | None, share: float, took_s: float) -> None:
    request, now = pending(traceparent=parent), 1000.0 + took_s
    teller, kept = telling(share=share, slow_s=10.0)
    teller.hit(request, Hit(), "disk", now)
    assert bool(kept.told) == is_told(request, OK, now, share=share, slow_s=10.0)
