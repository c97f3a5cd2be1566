"""A whole completion as a stream: what an SDK puts together of it is the completion again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.front.chunks import DONE, completion_chunks

TOOL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def completion(**message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "small",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def parts(chunks: list[bytes]) -> list[dict[str, Any]]:
    assert chunks[-1] == DONE
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") and chunk.count(b"\n") == 2 for chunk in chunks)
    return [orjson.loads(chunk[6:]) for chunk in chunks[:-1]]


def test_role_content_and_end_come_in_this_order() -> None:
    first, second, last = parts(list(completion_chunks(completion(content="hé\n"), tells_usage=False)))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert second["choices"][0]["delta"] == {"content": "hé\n"}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert {part["object"] for part in (first, second, last)} == {"chat.completion.chunk"}
    assert "usage" not in first


def test_the_usage_comes_last_where_it_is_wanted() -> None:
    *others, last = parts(list(completion_chunks(completion(content="hi"), tells_usage=True)))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 3)
    assert all(part["usage"] is None for part in others)


def test_tool_calls_have_their_numbers() -> None:
    found = parts(list(completion_chunks(completion(content=None, tool_calls=[TOOL, TOOL]), tells_usage=False)))
    assert [call["index"] for call in found[1]["choices"][0]["delta"]["tool_calls"]] == [0, 1]


@pytest.mark.parametrize("choices", [None, "x", [], [{}], [{"message": 7}]])
def test_a_strange_completion_still_ends(choices: Any) -> None:
    chunks = list(completion_chunks({**completion(), "choices": choices}, tells_usage=True))
    assert chunks[-1] == DONE
