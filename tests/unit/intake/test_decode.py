"""From a record to a request or to the reason why it is none: case by case, and with whatever bytes a stranger may send."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.limits import ERROR_MESSAGE_BYTES, ID_CHARS
from streams.intake.decode import Decoder
from streams.pipeline import PendingRequest, Rejected
from tests.support.requests import SampleRecord, SampleSource
from topics.names import RESPONSES, TOPIC_OF, Priority

RECEIVED_AT = 1000.0
DECODER = Decoder(max_value_bytes=4096, waits_s={"high": 10.0, "normal": 30.0, "low": 60.0})
CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


def decode(record: SampleRecord) -> PendingRequest | Rejected:
    return DECODER.decode(record, record.origin, SampleSource(), 0)


def decode_valid(record: SampleRecord) -> PendingRequest:
    found = decode(record)
    assert isinstance(found, PendingRequest), found
    return found


def decode_refused(record: SampleRecord) -> Rejected:
    found = decode(record)
    assert isinstance(found, Rejected), found
    return found


def value(**fields: object) -> bytes:
    return orjson.dumps({"agent_id": "a", "payload": CHAT} | fields)


def test_a_bare_payload_with_a_key_gets_every_default() -> None:
    found = decode_valid(SampleRecord(orjson.dumps({"payload": CHAT}), key=b"agent-1"))
    assert found.agent_id == "agent-1"
    assert found.request_id == "agent.requests.normal:3:41"
    assert found.event_id == b"agent.requests.normal:3:41"
    assert found.reply_topic == RESPONSES
    assert found.priority == "normal"
    assert (found.received_at, found.dispatch_by, found.expires_at) == (RECEIVED_AT, 1030.0, None)
    assert found.traceparent is None
    assert found.dispatched_at is None


def test_what_the_value_says_wins_over_the_key_and_the_defaults() -> None:
    found = decode_valid(SampleRecord(value(request_id="r-1", conversation_id="c-1"), key=b"somebody"))
    assert (found.agent_id, found.request_id, found.request.conversation_id) == ("a", "r-1", "c-1")
    assert found.event_id == b"agent.requests.normal:3:41"


@pytest.mark.parametrize(("priority", "wait_s"), [("high", 10.0), ("normal", 30.0), ("low", 60.0)])
def test_the_class_bounds_the_wait_for_dispatch_and_nothing_else(priority: Priority, wait_s: float) -> None:
    found = decode_valid(SampleRecord(value(), topic=TOPIC_OF[priority]))
    assert (found.priority, found.dispatch_by, found.expires_at) == (priority, RECEIVED_AT + wait_s, None)


@pytest.mark.parametrize(
    ("fields", "header", "limit"),
    [
        ({"timeout_s": 5, "deadline": "1970-01-01T00:20:00Z"}, b"1970-01-01T00:25:00Z", 1005.0),
        ({"deadline": "1970-01-01T00:20:00Z"}, b"1970-01-01T00:25:00Z", 1200.0),
        ({}, b"1970-01-01T00:25:00Z", 1500.0),
        ({"timeout_s": 5}, None, 1005.0),
        ({"timeout_s": 0.25}, None, 1000.25),
        ({"timeout_s": 3600}, None, 4600.0),
        ({"deadline": "1970-01-01T02:20:00+02:00"}, None, 1200.0),
    ],
)
def test_timeout_s_wins_over_deadline_over_the_header_over_the_class(
    fields: dict[str, object], header: bytes | None, limit: float
) -> None:
    headers = [] if header is None else [("ce_expirytime", header)]
    found = decode_valid(SampleRecord(value(**fields), headers=headers))
    assert (found.dispatch_by, found.expires_at) == (limit, limit)


def test_headers_say_where_the_answer_goes_and_which_trace_it_is_of() -> None:
    trace = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
    found = decode_valid(SampleRecord(value(), headers=[("reply_to", b"agent.responses.x"), ("traceparent", trace)]))
    assert (found.reply_topic, found.traceparent) == ("agent.responses.x", trace)


def test_a_broken_traceparent_costs_the_trace_and_not_the_request() -> None:
    assert decode_valid(SampleRecord(value(), headers=[("traceparent", b"00-short")])).traceparent is None


@pytest.mark.parametrize(
    ("record", "why", "agent_id"),
    [
        (SampleRecord(None, key=b"k"), "tombstone", None),
        (SampleRecord(b"", key=b"k"), "JSON", None),
        (SampleRecord(b"not json", key=b"k"), "JSON", None),
        (SampleRecord(b"\xff\xfe{}", key=b"k"), "JSON", None),
        (SampleRecord(b"[1, 2]", key=b"k"), "object", None),
        (SampleRecord(b'"text"', key=b"k"), "object", None),
        (SampleRecord(b"null", key=b"k"), "object", None),
        (SampleRecord(b"[" * 3000, key=b"k"), "recursion", None),
        (SampleRecord(b'{"payload": 1e999}', key=b"k"), "payload", None),  # no JSON to our other parser
        (SampleRecord(b"{}", key=b"k"), "payload", "k"),
        (SampleRecord(b'{"payload": []}', key=b"k"), "payload", "k"),
        (SampleRecord(b'{"payload": {}}', key=b"k"), "payload.model", "k"),
        (SampleRecord(b'{"agent_id": "v"}', key=b"k"), "payload", "v"),
        (SampleRecord(b'{"agent_id": 7}', key=b"k"), "agent_id", "k"),
        (SampleRecord(b'{"agent_id": 7}', key=None), "agent_id", None),
        (SampleRecord(b'{"agent_id": ""}', key=b"\xff"), "agent_id", None),
        (SampleRecord(orjson.dumps({"agent_id": "x" * (ID_CHARS + 1)}), key=b"k"), "agent_id", "k"),
        (SampleRecord(orjson.dumps({"payload": CHAT}), key=None), "agent_id", None),
        (SampleRecord(orjson.dumps({"payload": CHAT}), key=b""), "agent_id", None),
        (SampleRecord(orjson.dumps({"payload": CHAT}), key=b"\xc3("), "agent_id", None),
        (SampleRecord(orjson.dumps({"payload": CHAT}), key=b"x" * (ID_CHARS + 1)), "agent_id", None),
        (SampleRecord(value(timeout_s=0)), "timeout_s", "a"),
        (SampleRecord(value(timeout_s="5")), "timeout_s", "a"),
        (SampleRecord(value(deadline="tomorrow")), "deadline", "a"),
        (SampleRecord(value(operation="images")), "operation", "a"),
        (SampleRecord(value(cache={"mode": "always"})), "cache.mode", "a"),
        (SampleRecord(value(), headers=[("ce_expirytime", b"soon")]), "ce_expirytime", "a"),
    ],
)
def test_what_is_no_request_is_refused_and_says_why(record: SampleRecord, why: str, agent_id: str | None) -> None:
    found = decode_refused(record)
    assert (found.reason, found.error_type) == ("poison", "invalid_request")
    assert why in found.message
    assert found.agent_id == agent_id
    assert found.request_id == "agent.requests.normal:3:41"


def test_a_refusal_names_the_request_as_far_as_it_can_be_read() -> None:
    found = decode_refused(SampleRecord(b'{"request_id": "r-1", "conversation_id": "c-1", "agent_id": "v"}'))
    assert (found.request_id, found.conversation_id, found.agent_id) == ("r-1", "c-1", "v")


def test_a_refusal_never_quotes_the_value() -> None:
    secret = "sk-very-secret"
    for fields in ({"agent_id": 7, "payload": secret}, {"timeout_s": secret}, {"deadline": secret}, {"cache": secret}):
        assert secret not in decode_refused(SampleRecord(value(**fields))).message
    assert secret not in decode_refused(SampleRecord(secret.encode())).message


def test_a_value_over_the_limit_is_too_large_and_its_sender_is_told_if_it_can_be_read() -> None:
    largest = value(conversation_id="")[:-1]
    exactly = SampleRecord(value(padding="x" * (4096 - len(value(padding="")))))
    assert len(exactly.value or b"") == 4096
    decode_valid(exactly)
    for record, agent_id in (
        (SampleRecord(value(padding="x" * 4096), key=b"k"), "a"),
        (SampleRecord(largest + b" " * 4096, key=b"k"), None),
    ):
        found = decode_refused(record)
        assert (found.reason, found.error_type, found.agent_id) == ("too_large", "too_large", agent_id)
        assert "4096" in found.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("request_id", "agent_id", "conversation_id", "operation", "payload", "cache", "timeout_s", "deadline")
NEARLY = st.fixed_dictionaries(
    {"payload": st.just(CHAT) | JSON},
    optional={
        "request_id": st.text() | JSON,
        "agent_id": st.text() | JSON,
        "conversation_id": st.text() | JSON,
        "operation": st.sampled_from(["chat.completions", "embeddings"]) | JSON,
        "cache": JSON,
        "timeout_s": st.floats() | JSON,
        "deadline": st.datetimes(timezones=st.timezones()).map(str) | st.text() | JSON,
        "created_at": st.text() | JSON,
    },
)


def as_json(found: object) -> bytes:
    import json

    return json.dumps(found).encode()  # writes what orjson refuses too: NaN, wide integers, lone surrogates


VALUES = st.none() | st.binary(max_size=200) | JSON.map(as_json) | NEARLY.map(as_json)
NAMES = st.sampled_from(["ce_expirytime", "reply_to", "traceparent", "ce_id", "ce_type", "content-type"]) | st.text()
HEADERS = st.lists(
    st.tuples(
        NAMES,
        st.none() | st.binary(max_size=60) | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z".encode()),
    ),
    max_size=5,
)


@settings(max_examples=600, deadline=None)
@given(VALUES, st.none() | st.binary(max_size=40), HEADERS, st.integers(-1, 1 << 45), st.sampled_from(list(TOPIC_OF)))
@example(b'{"payload": {"model": "m", "messages": [1]}, "deadline": "0001-01-01T00:00:00+23:59"}', b"k", [], 0, "low")
@example(b'{"payload": {"model": "m", "messages": [1]}, "deadline": "9999-12-31T23:59:59-23:59"}', b"k", [], 0, "low")
@example(b'{"agent_id": "\\ud800", "payload": {"model": "m", "messages": [1]}}', b"k", [], 0, "low")
@example(
    b'{"payload": {"model": "m", "messages": [1]}}', b"k", [("ce_expirytime", b"0001-01-01T00:00:00+23:59")], 0, "low"
)
def test_whatever_a_record_holds_it_is_a_request_or_refused(
    content: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], timestamp: int, priority: Priority
) -> None:
    record = SampleRecord(content, key, headers, TOPIC_OF[priority], timestamp=timestamp)
    found = decode(record)
    names = [found.request_id, found.agent_id or ""]
    if isinstance(found, Rejected):
        assert 0 < len(found.message.encode()) <= ERROR_MESSAGE_BYTES
        if found.agent_id is not None:
            assert type(orjson.loads(content or b"")) is dict, "only a JSON object has a sender who can be told"
    else:
        assert found.agent_id
        orjson.dumps(found.request.payload)
        assert (found.dispatch_by == found.expires_at) or found.expires_at is None
    for name in names:
        name.encode()


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=3))
def test_unknown_fields_of_the_value_and_the_payload_change_nothing(unknown: dict[str, Any]) -> None:
    more = {name: found for name, found in unknown.items() if name not in {*FIELDS, "created_at"}}
    try:
        with_unknown = orjson.dumps({**more, "agent_id": "a", "payload": {"extra": 1, **CHAT}})
    except TypeError:
        return  # not JSON in the first place
    if len(with_unknown) <= DECODER.max_value_bytes:
        assert decode_valid(SampleRecord(with_unknown)).request.payload == {"extra": 1, **CHAT}


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({"deadline": "9999-12-31T23:59:59Z"}, id="the last day"),
        pytest.param({"deadline": "2038-01-19T03:14:08Z"}, id="behind 32 bits of seconds"),
        pytest.param({"timeout_s": 86_400.0}, id="the longest of the schema"),
        pytest.param({"timeout_s": 3_601}, id="a second too long"),
        pytest.param({"deadline": "1970-01-01T01:16:41.5+00:00"}, id="half a second too long"),
    ],
)
def test_a_time_limit_beyond_the_longest_is_cut_to_it(limit: dict[str, object]) -> None:
    decoder = Decoder(4096, DECODER.waits_s, most_s=3_600)
    record = SampleRecord(value(**limit))
    found = decoder.decode(record, record.origin, SampleSource(), 0)
    assert isinstance(found, PendingRequest)
    assert found.expires_at == found.dispatch_by == RECEIVED_AT + 3_600


def test_a_time_limit_within_the_longest_stays() -> None:
    decoder = Decoder(4096, DECODER.waits_s, most_s=3_600)
    record = SampleRecord(value(timeout_s=3_600))
    found = decoder.decode(record, record.origin, SampleSource(), 0)
    assert isinstance(found, PendingRequest)
    assert found.expires_at == RECEIVED_AT + 3_600
