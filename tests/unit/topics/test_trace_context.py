"""W3C Trace Context: what is taken on is what OpenTelemetry's own reader takes on, and nothing breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from topics.headers import read_request_headers
from topics.trace_context import MOST_STATE_BYTES, is_sampled, read_traceparent, read_tracestate

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()

DAMAGES: list[Callable[[str], str]] = [
    str.upper,
    lambda text: text[:-1],
    lambda text: text + "0",
    lambda text: text.replace("-", "_"),
    lambda text: text + "-more",
    lambda text: " " + text,
    lambda text: text.replace("0", "g"),
    lambda text: text,
]


def hex_of(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=size, max_size=size)


@st.composite
def traceparents(draw: st.DrawFn) -> str:
    """Good ones, nearly good ones, and none at all."""
    version = draw(st.sampled_from(["00", "01", "fe", "ff", "cc", "0"]))
    trace, span = draw(hex_of(32) | st.just("0" * 32)), draw(hex_of(16) | st.just("0" * 16))
    damage = draw(st.sampled_from(DAMAGES))
    return damage(f"{version}-{trace}-{span}-{draw(hex_of(2))}")


@given(traceparents() | st.text(max_size=80))
@example("")
@example(f"00-{TRACE}-{SPAN}-01\n")
@example(f"01-{TRACE}-{SPAN}-03-what-comes-later")
@example("ff" + GOOD.decode()[2:])
def test_the_same_traceparents_are_good_that_opentelemetrys_own_reader_takes(text: str) -> None:
    own = read_traceparent(text.encode("utf-8", "replace"))
    carrier = {"traceparent": text.strip() if text.strip() == text else ""}
    theirs = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    assert (own is not None) == theirs.is_valid
    if own is not None:
        assert (own[3:35].decode(), own[36:52].decode()) == (f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}")
        assert is_sampled(own) == theirs.trace_flags.sampled


@given(st.binary(max_size=200) | st.binary(max_size=20).map(lambda junk: GOOD + junk))
def test_whatever_comes_a_traceparent_is_of_version_00_or_none(value: bytes) -> None:
    found = read_traceparent(value)
    assert found is None or (len(found) == 55 and found.startswith(b"00-") and read_traceparent(found) == found)


MEMBERS = st.from_regex(rb"\A[a-z][a-z0-9]{0,8}=[a-z0-9]{1,60}\Z")


@given(st.lists(MEMBERS, min_size=1, max_size=40, unique_by=lambda member: member.partition(b"=")[0]))
def test_a_tracestate_keeps_its_members_in_order_as_far_as_they_fit(members: list[bytes]) -> None:
    found = read_tracestate([b" , ".join(members)])
    if len(members) > 32:
        assert found is None
    else:
        assert found is not None
        kept = found.split(b",")
        assert kept == members[: len(kept)]
        assert len(found) <= MOST_STATE_BYTES
        assert len(kept) == len(members) or len(b",".join(members[: len(kept) + 1])) > MOST_STATE_BYTES


@given(st.lists(st.binary(max_size=700), max_size=4))
def test_reading_a_tracestate_never_fails_and_what_is_read_is_read_again(values: list[bytes]) -> None:
    found = read_tracestate(values)
    assert found is None or (len(found) <= MOST_STATE_BYTES and read_tracestate([found]) == found)


# Cases of the test suite of w3c/trace-context, test/test.py.
@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([b"foo=1", b"bar=2"], b"foo=1,bar=2"),
        ([b"foo=1 \t,\t bar=2,"], b"foo=1,bar=2"),
        ([b"foo=1,foo=2"], None),
        ([b"foo =1"], None),
        ([b"FOO=1"], None),
        ([b"foo@=1,bar=2"], b"foo@=1,bar=2"),
        ([b"foo=1=2"], None),
        ([b"foo=\xc3\xa4"], None),
        ([b",".join(b"bar%02d=%02d" % (n, n) for n in range(33))], None),
        ([b"z" * 257 + b"=1"], None),
        ([b"large=" + b"x" * 200 + b",small=1," + b",".join(b"k%d=" % n + b"y" * 90 for n in range(4))], None),
    ],
)
def test_a_tracestate_as_the_recommendations_own_suite_tries_it(values: list[bytes], state: bytes | None) -> None:
    found = read_tracestate(values)
    if values[0].startswith(b"large="):
        assert found is not None
        assert found.startswith(b"small=1,k0=")  # members above 128 characters go first
    else:
        assert found == state


@pytest.mark.parametrize("parent", [None, b"", b"00-broken", GOOD.upper()])
def test_a_tracestate_without_a_good_traceparent_says_nothing(parent: bytes | None) -> None:
    assert read_request_headers([("traceparent", parent), ("tracestate", b"a=1")]).tracestate is None
    assert read_request_headers([("tracestate", b"a=1"), ("traceparent", GOOD)]).tracestate == b"a=1"
