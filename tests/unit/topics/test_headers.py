"""Headers follow CloudEvents; reading them never fails, whatever strangers put there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import NO_HEADERS, RequestHeaders, read_request_headers, request_headers, response_headers
from topics.headers import rfc3339

NOW = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_has_the_required_cloudevents_attributes() -> None:
    assert dict(request_headers(event_id="e-1", source="/agents/17", time=NOW)) == {
        "ce_specversion": b"1.0",
        "ce_type": b"headrace.request.v1",
        "ce_source": b"/agents/17",
        "ce_id": b"e-1",
        "ce_time": b"2026-01-01T12:00:00.250Z",
        "content-type": b"application/json",
    }


def test_what_a_request_says_is_read_back() -> None:
    headers = request_headers(
        event_id="e-1",
        source="/a",
        time=NOW,
        expires_at=NOW,
        reply_to="agent.responses.chat",
        reply_partition=7,
        stream=True,
        traceparent=TRACE,
    )
    assert read_request_headers(headers) == RequestHeaders(
        NOW.timestamp(), "agent.responses.chat", 7, True, TRACE, None
    )


@pytest.mark.parametrize("text", [None, b"", b"false", b"1", b"TRUE", b"\xff"])
def test_only_true_asks_for_deltas(text: bytes | None) -> None:
    assert read_request_headers([("stream", text)]) == RequestHeaders()
    assert read_request_headers([("stream", b"true")]).streams


@pytest.mark.parametrize("text", [None, b"", b"-1", b"1.5", b"one", b"\xb2", b"99999999"])
def test_a_reply_partition_that_is_no_number_of_one_is_a_fault(text: bytes | None) -> None:
    read = read_request_headers([("reply_partition", text)])
    assert read.reply_partition is None
    assert read.fault is not None
    assert "reply_partition" in read.fault


def test_a_response_names_its_request_and_carries_its_trace() -> None:
    headers = dict(
        response_headers(event_id=b"t:1:2", source=b"/headrace", time=rfc3339(NOW), request_id="r-é", traceparent=TRACE)
    )
    assert headers["ce_type"] == b"headrace.response.v1"
    assert headers["request_id"] == "r-é".encode()
    assert headers["traceparent"] == TRACE
    assert headers.keys() >= {"ce_id", "ce_source", "ce_time", "ce_specversion", "content-type"}


def test_no_headers_cost_no_object() -> None:
    assert read_request_headers(()) is NO_HEADERS


def test_unknown_headers_are_ignored() -> None:
    assert read_request_headers([("x", b"\xff"), ("ce_type", None)]) == NO_HEADERS


def test_the_last_of_repeated_headers_counts() -> None:
    read = read_request_headers(
        [("reply_to", b"a"), ("ce_expirytime", b"?"), ("reply_to", b"b"), ("ce_expirytime", b"2026-01-01T00:00:00Z")]
    )
    assert (read.reply_to, read.expires_at_s, read.fault) == ("b", 1_767_225_600.0, None)


@pytest.mark.parametrize(
    "text", [b"2026-01-01T00:00:00Z", b"2026-01-01t01:00:00.000+01:00", b"2026-01-01 00:00:00.0000000001Z"]
)
def test_rfc_3339_times_are_read(text: bytes) -> None:
    assert read_request_headers([("ce_expirytime", text)]).expires_at_s == 1_767_225_600.0


@pytest.mark.parametrize(
    "text",
    [None, b"", b"soon", b"1767225600", b"2026-01-01T00:00:00", b"2026-13-01T00:00:00Z", b"2026-W01-1", b"\xff\xfe"],
)
def test_an_expiry_that_is_no_time_is_a_fault(text: bytes | None) -> None:
    read = read_request_headers([("ce_expirytime", text)])
    assert read.expires_at_s is None
    assert read.fault is not None
    assert "ce_expirytime" in read.fault


@pytest.mark.parametrize("trace", [b"", b"00-0-0-0", TRACE.upper(), TRACE + b"\n", b"00-" + b"0" * 32 + TRACE[35:]])
def test_a_broken_trace_is_dropped_and_breaks_nothing(trace: bytes) -> None:
    assert read_request_headers([("traceparent", trace)]) == NO_HEADERS


def test_a_reply_to_that_is_no_utf8_is_kept_for_refusal() -> None:
    assert read_request_headers([("reply_to", b"\xff")]).reply_to == "\N{REPLACEMENT CHARACTER}"
    assert read_request_headers([("reply_to", None)]).reply_to == ""


names = st.sampled_from(["ce_expirytime", "reply_to", "traceparent", "ce_id", "other"])


@given(st.lists(st.tuples(names, st.none() | st.binary(max_size=80)), max_size=6))
def test_reading_never_fails(headers: list[tuple[str, bytes | None]]) -> None:
    read_request_headers(headers)


def test_a_moment_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 1, 1))  # noqa: DTZ001
