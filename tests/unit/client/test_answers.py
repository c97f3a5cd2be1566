"""Answers are read as the fleet writes them, and nothing that a stranger writes breaks the reader."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_client import AnswerError, Cancelled, Expired, Failed, ProviderError, Rejected
from headrace_client.answers import Answer, agent_of, error_of, event_id_of, read_answer
from schemas.response import Usage, WireError, encode_response
from topics.headers import response_headers

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def written(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "request_id": "r",
        "agent_id": "a",
        "status": "ok",
        "payload": {"choices": [{"message": {"content": "yes"}}]},
        "queue_ms": 1.0,
        "provider_ms": 2.0,
        "total_ms": 3.0,
        "completed_at": NOW,
        **changed,
    }
    return encode_response(**fields)


def failed(status: str, error_type: str, retryable: bool) -> Answer:
    error = WireError(error_type, "because", retryable)  # type: ignore[arg-type]
    answer = read_answer("t:0:1", written(status=status, payload=None, error=error))
    assert answer is not None
    return answer


def test_an_answer_is_read_as_the_fleet_wrote_it() -> None:
    usage = Usage(1, 2, 3)
    value = written(conversation_id="c", usage=usage, cache="disk", provider="p", model="m", attempts=2)
    answer = read_answer("t:0:1", value)
    assert answer is not None
    assert (answer.request_id, answer.agent_id, answer.conversation_id, answer.event_id) == ("r", "a", "c", "t:0:1")
    assert (answer.ok, answer.text, answer.cache, answer.provider, answer.model) == (True, "yes", "disk", "p", "m")
    assert answer.attempts == 2
    assert answer.usage.total_tokens == 3
    assert answer.raise_for_status() is answer


@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        ("rejected", "invalid_request", Rejected),
        ("expired", "deadline", Expired),
        ("error", "provider_error", ProviderError),
        ("error", "provider_timeout", ProviderError),
        ("error", "queue_full", Failed),
        ("error", "cancelled", Cancelled),
    ],
)
@pytest.mark.parametrize("retryable", [True, False])
def test_what_is_not_ok_is_an_exception_of_its_kind(
    status: str, error_type: str, kind: type[AnswerError], retryable: bool
) -> None:
    error = error_of(failed(status, error_type, retryable))
    assert type(error) is kind
    assert (error.type, error.message, error.retryable) == (error_type, "because", retryable)


def test_the_event_id_stands_in_the_headers() -> None:
    headers = response_headers(event_id=b"t:0:1", source=b"/headrace", time=b"2026", request_id="r")
    assert event_id_of(headers) == "t:0:1"
    assert event_id_of([("ce_type", b"headrace.request.v1"), ("ce_id", b"t:0:1")]) is None
    assert event_id_of([("ce_type", b"headrace.response.v1"), ("ce_id", None)]) is None
    assert event_id_of([("ce_type", b"headrace.response.v1"), ("ce_id", b"\xff")]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.binary(max_size=200) | st.none())
def test_bytes_that_are_no_answer_are_none(value: bytes | None) -> None:
    assert read_answer("t:0:1", value) is None
    agent_of(value)


@given(st.data())
def test_an_answer_with_any_field_bent_is_read_or_left_out(data: st.DataObject) -> None:
    value = orjson.loads(written())
    value[data.draw(st.sampled_from(sorted(value)))] = data.draw(JSON)
    answer = read_answer("t:0:1", json.dumps(value).encode())
    if answer is not None:
        assert isinstance(answer.text, str)
        assert isinstance(answer.usage.total_tokens, int)
