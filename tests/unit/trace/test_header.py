"""The header `trace`: what is told comes back, whatever happened it stays small, and strangers' bytes are refused in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.held_up import HeldUp, Standstill
from streams.slots import Slots
from streams.trace import words
from streams.trace.header import MOST_BYTES, Trace, TraceError, Tried, Waited, decode, encode, header_of, trace_of
from streams.trace.marks import CallMarks, Marks, Try
from streams.waits import WORDS
from tests.support.requests import pending

times = st.integers(0, 10**7)
waits = st.builds(Waited, st.sampled_from(words.REASONS), st.sampled_from(sorted(words.OF_BITS)), times)
tries = st.builds(Tried, st.text(max_size=400), st.sampled_from(words.OUTCOMES), st.integers(0, 999), times, times)
maybe = st.none() | times
traces = st.builds(
    Trace, st.sampled_from(words.CACHES), times, maybe, maybe, maybe, maybe,
    st.lists(waits, max_size=30), st.lists(waits, max_size=30), st.integers(0, 10**6),
    st.lists(tries, max_size=30), st.lists(tries, max_size=30),
)  # fmt: skip


@given(traces)
def test_a_trace_stays_small_and_keeps_its_times_and_the_sum_of_its_waits(trace: Trace) -> None:
    encoded = encode(trace)
    assert len(encoded) <= MOST_BYTES
    read = decode(encoded)
    assert read[:6] == trace[:6]
    assert read.attempts == min(trace.attempts, 0xFFFF)
    assert sum(each.took_100us for each in read.waits) == sum(each.took_100us for each in trace.waits)
    told = [*trace.first, *trace.last]
    if told:
        assert read.first[0].began_100us == told[0].began_100us
        assert [*read.first, *read.last][-1].took_100us == told[-1].took_100us


def test_a_usual_trace_comes_back_whole() -> None:
    one = Tried("sim (127.0.0.1:8000)", "provider_error", 429, 100, 30)
    told = Trace(
        "none", 900, 5, 6, 7, 100, [Waited("provider_limit", "tokens", 90)], [], 2, [one, one._replace(status=0)]
    )
    read = decode(encode(told))
    assert read == told._replace(last=[])


@given(
    st.binary(max_size=250) | traces.map(encode).flatmap(lambda good: st.integers(0, len(good)).map(lambda n: good[:n]))
)
def test_whatever_bytes_come_there_is_a_trace_or_one_kind_of_error(value: bytes) -> None:
    try:
        decode(value)
    except TraceError:
        return


@given(st.floats(-10, 1e6), st.floats(0, 1e3), st.lists(st.floats(0, 1e3), max_size=2), st.integers(0, 9))
def test_the_quick_way_writes_the_same_bytes(total_s: float, queued_s: float, took: list[float], attempts: int) -> None:
    marks = Marks(1000.0 + queued_s, 1000.0 + queued_s, {("turn", ""): queued_s})
    call = CallMarks([Try(1000.0, each, "sim (host)", "ok") for each in took])
    given = (1000.0, 1000.0 + total_s, 1000.0, "none", marks, 1001.0, attempts, call)
    quick = header_of(
        1000.0,
        1000.0 + total_s,
        read_at=1000.0,
        cache="none",
        marks=marks,
        dispatched_at=1001.0,
        attempts=attempts,
        call=call,
    )
    assert quick == encode(trace_of(*given))


def test_every_reason_has_a_number() -> None:
    assert set(words.REASONS) == set(WORDS)


def test_bytes_behind_a_trace_make_it_none() -> None:
    with pytest.raises(TraceError, match="behind"):
        decode(encode(Trace("none", 1)) + b"x")


def test_a_request_is_held_up_by_its_lane_and_then_by_the_worker_and_the_parts_are_its_wait() -> None:
    slots, lane, agent = Slots(1), Standstill(), Standstill()
    held = HeldUp(slots)
    request = pending()
    request.marks = Marks(0.0)
    lane.set(("provider_limit", "tokens"), -5.0)
    held.begin(request, agent, lane, 0.0)
    lane.set(None, 2.0)
    slots.take("normal")
    held.look(2.0, in_doubt=False, short_of_tokens=False)
    held.end(request, 3.0)
    assert request.marks.waits == {("provider_limit", "tokens"): 2.0, ("worker_calls", ""): 1.0}
