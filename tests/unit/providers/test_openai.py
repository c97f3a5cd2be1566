"""The OpenAI wire format, with bodies as they are and as a hostile endpoint might make them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.limits import ERROR_MESSAGE_BYTES
from schemas.request import Request
from schemas.response import NO_USAGE, Response, Usage, WireError, encode_response
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.wire import Answer, Asked, Failure

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "the secret plan"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def sent(payload: dict[str, Any]) -> Any:
    return orjson.loads(OpenaiFormat().encode(Request(payload=payload), stream=False))


def decode(status: int, body: bytes, retry_after: str | None) -> Answer | Failure:
    return OpenaiFormat().decode(
        Asked("chat.completions"), status, body, {} if retry_after is None else {"retry-after": retry_after}
    )


@given(st.dictionaries(st.text(max_size=8), JSON.filter(lambda value: value not in (float("inf"), -float("inf")))))
def test_unknown_fields_pass_through_intact(unknown: dict[str, Any]) -> None:
    unknown.pop("stream", None)
    payload = orjson.loads(orjson.dumps(unknown | CHAT))
    assert sent(payload) == payload


def test_streaming_is_forced_off_and_leaves_the_request_as_it_was() -> None:
    payload = CHAT | {"stream": True, "stream_options": {"include_usage": True}, "seed": 7}
    assert sent(payload) == CHAT | {"stream": False, "seed": 7}
    assert payload["stream"] is True


@pytest.mark.parametrize("stream", ["yes", 1, [0]])
def test_a_stream_of_another_type_is_off_too(stream: object) -> None:
    assert sent(CHAT | {"stream": stream})["stream"] is False


def test_an_answer_is_its_body_untouched_and_the_usage_it_states() -> None:
    usage = b'"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}'
    body = b'{ "id":"x", "choices": [{"message": {"content": "hi"}}], ' + usage + b"}"
    assert decode(200, body, None) == Answer(body, Usage(3, 4, 8))


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (None, NO_USAGE),
        ("many", NO_USAGE),
        ({}, NO_USAGE),
        ({"prompt_tokens": 3}, Usage(3, 0, 3)),
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4, 7)),
        ({"prompt_tokens": -3, "completion_tokens": 4.5, "total_tokens": True}, NO_USAGE),
        ({"prompt_tokens": None, "completion_tokens": "4", "total_tokens": [1]}, NO_USAGE),
        ({"prompt_tokens": 3.0, "completion_tokens": 4e0}, Usage(3, 4, 7)),
        ({"prompt_tokens": (1 << 64) - 1, "completion_tokens": 4}, Usage(0, 4, 4)),
    ],
)
def test_usage_is_taken_as_far_as_it_makes_sense(usage: object, wanted: Usage) -> None:
    found = decode(200, orjson.dumps({"choices": [{"message": {"content": "hi"}}], "usage": usage}), None)
    assert isinstance(found, Answer)
    assert found.usage == wanted


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("0", 0.0), ("1.5", 1.5), ("-1", None), ("nan", None), ("inf", None),
        ("1e999", None), ("soon", None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_a_retry_after_that_is_no_number_of_seconds_is_as_none(header: str | None, seconds: float | None) -> None:
    found = decode(429, b"", header)
    assert isinstance(found, Failure)
    assert found.retry_after_s == seconds


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"[]", b"null", b"NaN"])
def test_a_body_that_is_no_object_is_a_failure_that_may_pass_and_quotes_nothing(body: bytes) -> None:
    found = decode(200, body, None)
    assert isinstance(found, Failure)
    assert (found.type, found.retryable) == ("provider_error", True)
    assert found.message in ("the provider's answer is not JSON", "the provider's answer is not a JSON object")


def test_an_error_says_what_the_provider_said_in_the_usual_place_and_nothing_else_of_its_body() -> None:
    body = orjson.dumps({"error": {"message": "no such model", "param": "leak"}, "request": CHAT})
    found = decode(404, body, None)
    assert isinstance(found, Failure)
    assert found.message == "the provider answered 404: no such model"


@pytest.mark.parametrize("error", [{"received": CHAT}, [CHAT], {"message": CHAT}, {"message": None}, 7, None, True])
def test_an_error_that_is_no_text_is_not_quoted(error: object) -> None:
    found = decode(400, orjson.dumps({"error": error}), None)
    assert isinstance(found, Failure)
    assert found.message == "the provider answered 400: no reason given"


BODIES = st.binary(max_size=200) | JSON.map(orjson.dumps) | st.builds(
    lambda error, usage: orjson.dumps({"error": error, "usage": usage}),
    JSON | st.fixed_dictionaries({"message": JSON}),
    JSON | st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens"]), JSON),
)  # fmt: skip


@settings(max_examples=400)
@given(st.just(200) | st.integers(100, 999), BODIES, st.none() | st.text(max_size=20))
@example(200, b'{"usage": {"prompt_tokens": 18446744073709551615, "completion_tokens": 1}}', None)
@example(500, orjson.dumps({"error": "x" * 5000}), None)
def test_whatever_a_provider_answers_becomes_a_response_that_the_schema_knows(
    status: int, body: bytes, retry_after: str | None
) -> None:
    found = decode(status, body, retry_after)
    failed = isinstance(found, Failure)
    if isinstance(found, Failure):
        assert len(found.message.encode()) <= ERROR_MESSAGE_BYTES
        assert found.retry_after_s is None or found.retry_after_s >= 0
    value = encode_response(
        request_id="r", agent_id="a", status="error" if failed else "ok",
        payload=None if isinstance(found, Failure) else found.body,
        usage=NO_USAGE if isinstance(found, Failure) else found.usage,
        error=WireError(found.type, found.message, found.retryable) if isinstance(found, Failure) else None,
        queue_ms=0.0, provider_ms=0.0, total_ms=0.0, completed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    Response.model_validate_json(value)
