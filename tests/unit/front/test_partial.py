"""What of an answer was told, and what is missing: by the position in each text, and of the same answer alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.front.partial import Partial, chunks_with, is_chunk

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
OTHER = {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]}


def told(*deltas: dict[str, Any]) -> Partial:
    partial = Partial()
    for delta in deltas:
        partial.add({"choices": [{"index": 0, "delta": delta}]})
    return partial


def missing(partial: Partial, **message: Any) -> list[dict[str, Any]] | None:
    parts = partial.missing(Partial.of(completion(**message)))
    return None if parts is None else [part["delta"] for part in parts if part["delta"]]


def test_a_whole_completion_is_a_stream_of_role_content_and_end() -> None:
    whole = completion(content="hé\n")
    first, second, last = map(orjson.loads, chunks_with(Partial().missing(Partial.of(whole)) or [], whole))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert second["choices"][0]["delta"] == {"content": "hé\n"}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert {(part["object"], part["id"]) for part in (first, second, last)} == {("chat.completion.chunk", "c")}


def test_the_rest_of_every_text_is_missing() -> None:
    partial = told({"reasoning_content": "th"}, {"content": "a"}, {"content": "b"})
    assert missing(partial, content="abc", reasoning_content="think") == [{"reasoning_content": "ink", "content": "c"}]
    assert missing(partial, content="axc", reasoning_content="think") is None
    assert missing(partial, content="a", reasoning_content="think") is None


def test_the_rest_of_a_call_is_missing_where_it_is_that_call() -> None:
    begun = told(
        {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
            ]
        }
    )
    assert missing(begun, content=None, tool_calls=[CALL, OTHER]) == [
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": '": 1}'}},
                {"index": 1, "id": "call_2", "type": "function", "function": {"arguments": "{}", "name": "g"}},
            ]
        }
    ]
    assert missing(begun, content=None, tool_calls=[CALL | {"id": "call_9"}]) is None


def test_arguments_that_are_spaced_otherwise_are_the_same() -> None:
    begun = told({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a":1}'}}]})
    assert missing(begun, content=None, tool_calls=[CALL]) == [
        {"tool_calls": [{"index": 0, "type": "function", "function": {"arguments": ""}}]}
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["none", "always 0"])
def test_calls_that_servers_do_not_number_are_told_apart_by_their_ids(index: dict[str, int]) -> None:
    partial = told(*({"tool_calls": [{**index, **call}]} for call in (CALL, OTHER)))
    assert missing(partial, content=None, tool_calls=[CALL, OTHER]) == []


def test_lists_grow_and_labels_do_not_matter() -> None:
    partial = told({"thinking_blocks": [1], "content": "x", "name": "a"}, {"thinking_blocks": [2], "name": "b"})
    assert missing(partial, content="x", thinking_blocks=[1, 2, 3], name="c") == [{"thinking_blocks": [3]}]
    assert missing(partial, content="x", thinking_blocks=[1, 9]) is None


@pytest.mark.parametrize("choices", [None, "x", [], [{}], [{"message": 7}], [7], [{"message": {"tool_calls": [7]}}]])
def test_a_strange_completion_is_no_fault(choices: Any) -> None:
    assert Partial().missing(Partial.of(completion() | {"choices": choices})) is not None


@pytest.mark.parametrize(
    "given",
    [None, [], {}, {"choices": 1}, {"choices": [1]}, {"choices": [{"delta": "x"}]}, {"choices": [{"delta": [1]}]}],
)
def test_what_is_no_chunk_is_seen(given: Any) -> None:
    assert not is_chunk(given)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": 7},
        {"tool_calls": [{"function": {"arguments": {}}}]},
        {"tool_calls": 1},
        {"tool_calls": ["x"]},
        {"a": {}},
    ],
)
def test_strange_deltas_are_no_fault(delta: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": "0", "delta": delta, "finish_reason": None}]}
    assert is_chunk(chunk)
    Partial().add(chunk)


def test_a_piece_without_an_id_goes_on_with_the_call_that_began_last_under_its_index() -> None:
    def piece(arguments: str, name: str | None = None) -> dict[str, Any]:
        named = {"id": name, "type": "function"} if name else {}
        function = {"arguments": arguments} | ({"name": "f" if name == "call_1" else "g"} if name else {})
        return {"tool_calls": [{"index": 0, **named, "function": function}]}

    partial = told(piece("", "call_1"), piece('{"a":'), piece(" 1}"), piece("", "call_2"), piece("{"), piece("}"))
    assert {at: call.arguments for at, call in partial.choices[0].calls.items()} == {0: '{"a": 1}', 1: "{}"}
    assert missing(partial, content=None, tool_calls=[CALL, OTHER]) == []
