"""Requests come from strangers: what is accepted is usable and survives being written again, all else is refused."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import Request, explain
from schemas.limits import ERROR_MESSAGE_BYTES, NESTING_LEVELS

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


def request_with(**fields: Any) -> bytes:
    return orjson.dumps({"payload": CHAT, **fields})


def payload_with(raw: bytes) -> bytes:
    """A good request whose payload has one more member, `x`, given as raw JSON."""
    return b'{"payload":{"model":"m","messages":[{}],"x":' + raw + b"}}"


def refusal(value: bytes) -> str:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate_json(value)
    return explain(caught.value)


def test_only_the_payload_is_required() -> None:
    request = Request.model_validate_json(request_with())
    assert (request.request_id, request.agent_id, request.deadline, request.timeout_s) == (None, None, None, None)
    assert request.operation == "chat.completions"
    assert (request.cache.mode, request.cache.ttl_s) == ("read_write", None)


def test_unknown_top_level_fields_are_ignored_and_unknown_payload_fields_kept() -> None:
    payload = {**CHAT, "tools": [{"type": "function", "deep": {"a": [None, 1.5]}}]}
    request = Request.model_validate_json(orjson.dumps({"payload": payload, "new": {"x": 1}}))
    assert request.payload == payload
    assert not hasattr(request, "new")


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Request.model_validate_json(request_with()).agent_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"agent_id": 17}, "agent_id"),
        ({"agent_id": True}, "agent_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": "x" * 257}, "agent_id"),
        ({"request_id": ["r"]}, "request_id"),
        ({"conversation_id": {}}, "conversation_id"),
        ({"operation": "images"}, "operation"),
        ({"operation": None}, "operation"),
        ({"timeout_s": "20"}, "timeout_s"),
        ({"timeout_s": True}, "timeout_s"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": -1.0}, "timeout_s"),
        ({"timeout_s": 86_401}, "timeout_s"),
        ({"deadline": 1_767_225_600}, "deadline"),
        ({"deadline": "1767225600"}, "deadline"),
        ({"deadline": "-1767225600"}, "deadline"),
        ({"deadline": "2026-01-01T00:00:00"}, "deadline"),
        ({"deadline": "2026-13-01T00:00:00Z"}, "deadline"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "٢٠٢٦-01-01T00:00:00Z"}, "created_at"),
        ({"cache": {"mode": "always"}}, "cache.mode"),
        ({"cache": {"ttl_s": 0}}, "cache.ttl_s"),
        ({"cache": {"ttl_s": 1e9}}, "cache.ttl_s"),
        ({"cache": "off"}, "cache"),
        ({"payload": None}, "payload"),
        ({"payload": []}, "payload"),
        ({"payload": "{}"}, "payload"),
    ],
)
def test_a_wrong_type_or_size_is_refused_where_it_stands(fields: dict[str, Any], where: str) -> None:
    assert refusal(request_with(**fields)).startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("operation", "payload", "complaint"),
    [
        ("chat.completions", {"messages": [{}]}, "payload.model"),
        ("chat.completions", {"model": "", "messages": [{}]}, "payload.model"),
        ("chat.completions", {"model": 4, "messages": [{}]}, "payload.model"),
        ("chat.completions", {"model": "m" * 257, "messages": [{}]}, "payload.model"),
        ("chat.completions", {"model": "m"}, "payload.messages"),
        ("chat.completions", {"model": "m", "messages": []}, "payload.messages"),
        ("chat.completions", {"model": "m", "messages": {"0": {}}}, "payload.messages"),
        ("embeddings", {"model": "m"}, "payload.input"),
        ("embeddings", {"model": "m", "input": ""}, "payload.input"),
        ("embeddings", {"model": "m", "input": 3}, "payload.input"),
    ],
)
def test_a_payload_that_no_provider_could_use_is_refused(operation: str, payload: Any, complaint: str) -> None:
    assert refusal(request_with(operation=operation, payload=payload)).startswith(complaint)


@pytest.mark.parametrize("text", ["one", ["one", "two"], [1, 2, 3]])
def test_embeddings_take_a_string_or_an_array(text: Any) -> None:
    value = request_with(operation="embeddings", payload={"model": "m", "input": text})
    assert Request.model_validate_json(value).payload["input"] == text


def test_a_deadline_is_a_moment_with_a_zone() -> None:
    request = Request.model_validate_json(request_with(deadline="2026-01-01T01:00:00+01:00"))
    assert request.deadline is not None
    assert request.deadline.timestamp() == 1_767_225_600


HOSTILE = {
    "an array nested 100,000 deep": payload_with(b"[" * 100_000 + b"]" * 100_000),
    "an object nested 100,000 deep": payload_with(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "depth in an unknown field": b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b',"payload":{"model":"m"}}',
    "an unclosed array": payload_with(b"[" * 100_000),
    "an integer of 65 bits": payload_with(str(2**64).encode()),
    "an integer below 64 bits": payload_with(str(-(2**63) - 1).encode()),
    "an integer of 100,000 digits": payload_with(b"9" * 100_000),
    "an infinite float": payload_with(b"1e999"),
    "an exponent of 100,000 digits": payload_with(b"1e" + b"9" * 100_000),
    "NaN": payload_with(b"NaN"),
    "Infinity": payload_with(b"-Infinity"),
    "NaN beside null": payload_with(b'[null,{"a":[NaN]}]'),
    "NaN as a timeout": b'{"timeout_s":NaN,"payload":{"model":"m","messages":[{}]}}',
    "a lone surrogate": payload_with(b'"\\ud800"'),
    "a lone surrogate as a key": payload_with(b'{"\\udfff":1}'),
    "a byte order mark": b"\xef\xbb\xbf" + payload_with(b"1"),
    "UTF-16": payload_with(b"1").decode().encode("utf-16"),
    "bad UTF-8": payload_with(b'"\xff\xfe"'),
    "an overlong encoding": payload_with(b'"\xc0\xaf"'),
    "a control character": payload_with(b'"\x00"'),
    "text behind the value": payload_with(b"1") + b"x",
    "a trailing comma": payload_with(b"1,"),
    "a huge id": b'{"request_id":"' + b"x" * 900_000 + b'","payload":{"model":"m","messages":[{}]}}',
    "nothing": b"",
    "null": b"null",
    "an array": b"[]",
    "a string": b'"payload"',
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_is_refused_in_one_short_line(value: bytes) -> None:
    message = refusal(value)
    assert 0 < len(message.encode()) <= ERROR_MESSAGE_BYTES
    assert "\n" not in message


def test_200_levels_of_nesting_pass_and_202_do_not() -> None:
    inside = NESTING_LEVELS - 2  # the value and its payload are two
    assert Request.model_validate_json(payload_with(b"[" * inside + b"]" * inside))
    assert "recursion" in refusal(payload_with(b"[" * (inside + 2) + b"]" * (inside + 2)))


def test_64_bit_integers_pass_unchanged() -> None:
    value = payload_with(b"[18446744073709551615,-9223372036854775808]")
    assert Request.model_validate_json(value).payload["x"] == [2**64 - 1, -(2**63)]


def test_of_duplicate_keys_the_last_counts() -> None:
    value = b'{"agent_id":"a","agent_id":"b","payload":{"model":"m","messages":[{}],"x":1,"x":2}}'
    request = Request.model_validate_json(value)
    assert (request.agent_id, request.payload["x"]) == ("b", 2)


def test_an_explanation_never_quotes_the_value() -> None:
    message = refusal(request_with(agent_id=["sk-secret"], timeout_s="sk-secret", cache={"mode": "sk-secret"}))
    assert "sk-secret" not in message
    assert message.count("; ") == 2


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_accepted_can_be_written_again_without_loss(extra: object) -> None:
    value = json.dumps({"payload": {**CHAT, "x": extra}}).encode()
    try:
        request = Request.model_validate_json(value)
    except ValidationError:
        return
    assert orjson.loads(orjson.dumps(request.payload))["x"] == extra


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_cleanly(value: bytes) -> None:
    assert refusal(value)


def test_a_request_built_in_python_is_held_to_the_same_rules() -> None:
    sent = Request(agent_id="agent-17", payload=CHAT, timeout_s=20)
    assert Request.model_validate_json(sent.to_json()) == sent
    with pytest.raises(ValidationError, match="cannot be passed on"):
        Request(payload={**CHAT, "x": "\ud800"})
    with pytest.raises(ValidationError, match="not finite"):
        Request(payload={**CHAT, "x": float("nan")})
