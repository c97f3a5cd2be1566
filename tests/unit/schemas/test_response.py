"""Responses are written straight to bytes and read through the model: both know the same fields."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import orjson
import pytest

from schemas import CacheResult, ErrorType, Response, Status, Timing, Usage, WireError, encode_response

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def encode(**fields: Any) -> bytes:
    return encode_response(
        **{
            "request_id": "r-1",
            "agent_id": "agent-17",
            "status": "ok",
            "queue_ms": 1.0,
            "provider_ms": 2.0,
            "total_ms": 3.5,
            "completed_at": NOW,
            **fields,
        }
    )


def test_the_writer_and_the_model_have_the_same_fields() -> None:
    written = orjson.loads(encode())
    assert list(written) == list(Response.model_fields)
    assert list(written["timing"]) == list(Timing.__dataclass_fields__)
    assert list(written["usage"]) == list(Usage.__dataclass_fields__)
    error = orjson.loads(encode(error=WireError("internal", "broken", retryable=True)))["error"]
    assert list(error) == list(WireError.__dataclass_fields__)


def test_what_is_written_is_read_back() -> None:
    response = Response.model_validate_json(
        encode(
            conversation_id="chat-3",
            payload={"choices": []},
            usage=Usage(3, 1, 4),
            cache="memory",
            provider="sim-a",
            attempts=2,
        )
    )
    assert response.payload == {"choices": []}
    assert response.usage == Usage(3, 1, 4)
    assert response.timing == Timing(1.0, 2.0, 3.5)
    assert response.completed_at == NOW
    assert (response.cache, response.provider, response.attempts) == ("memory", "sim-a", 2)


def test_an_encoded_payload_is_copied_in_unread() -> None:
    raw = b'{"big": 123456789012345678901234567890, "spaced" : [ ]}'
    assert raw in encode(payload=raw)


def test_a_moment_is_written_in_utc() -> None:
    assert orjson.loads(encode())["completed_at"] == "2026-01-01T00:00:00Z"
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert Response.model_validate_json(encode(completed_at=elsewhere)).completed_at == NOW


def test_a_payload_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(payload={"x": 2**64})


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("cache", get_args(CacheResult))
def test_every_status_and_cache_result_is_readable(status: str, cache: str) -> None:
    response = Response.model_validate_json(encode(status=status, cache=cache))
    assert (response.status, response.cache) == (status, cache)


@pytest.mark.parametrize("error_type", get_args(ErrorType))
def test_every_error_type_is_readable(error_type: ErrorType) -> None:
    error = WireError(error_type, "why", retryable=False)
    assert Response.model_validate_json(encode(status="error", error=error)).error == error
