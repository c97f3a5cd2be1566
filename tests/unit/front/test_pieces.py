"""Whole answers as pieces: several, bounded, and the same text again."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.response import Response
from streams.front.follower import Delta, Follower, Whole
from streams.front.partial import Partial
from streams.front.pieces import MOST_BYTES, cut

TEXTS = st.text(max_size=300) | st.text(" ab\n", min_size=2_000, max_size=9_000) | st.just("x" * 20_000)


def answer(message: dict[str, Any]) -> Response:
    payload = {
        "id": "c",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    wire = {
        "request_id": "r", "agent_id": "a", "status": "ok", "payload": payload, "error": None, "cache": "memory",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, "provider": "p", "model": "m", "attempts": 0,
        "timing": {"queue_ms": 0, "provider_ms": 0, "total_ms": 0}, "completed_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Response.model_validate_json(orjson.dumps(wire))


@given(TEXTS)
def test_pieces_are_the_text_again_and_each_is_small(text: str) -> None:
    pieces = [each["delta"]["content"] for each in cut({"index": 0, "delta": {"content": text}})]
    assert "".join(pieces) == text
    assert all(len(each.encode()) <= MOST_BYTES for each in pieces)


def test_an_answer_from_the_cache_streams_in_several_chunks_with_one_end() -> None:
    """One large chunk broke the streaming of those who had a hit (vllm-project/semantic-router#937)."""
    text = "A headrace is the channel that feeds a water wheel at the pace that the wheel can take. " * 3
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"city": "Berlin", "days": [1, 2, 3]}'},
    }
    message = {
        "role": "assistant",
        "content": text,
        "reasoning_content": "It is a channel, so I say so.",
        "tool_calls": [call],
    }
    told = Follower(0).whole(answer(message))
    chunks = [orjson.loads(chunk) for each in told if isinstance(each, Delta) for chunk in each.chunks]
    with_text = [
        each["choices"][0]["delta"]["content"] for each in chunks if each["choices"][0]["delta"].get("content")
    ]
    assert len(with_text) >= 8
    assert "".join(with_text) == text
    whole = Partial()
    for chunk in chunks:
        whole.add(chunk)
    assert whole.has_ended_as(Partial.of(answer(message).payload or {}))
    assert [each["choices"][0]["finish_reason"] for each in chunks if each["choices"][0]["finish_reason"]] == ["stop"]
    assert sum(isinstance(each, Whole) for each in told) == 1


def test_an_error_that_was_kept_is_no_stream_of_text() -> None:
    """A cached error was streamed as if it were an answer, with empty choices (vllm-project/semantic-router#937)."""
    failed = answer({"role": "assistant", "content": ""}).model_copy(update={"payload": None})
    assert [type(each) for each in Follower(0).whole(failed)] == [Whole]
