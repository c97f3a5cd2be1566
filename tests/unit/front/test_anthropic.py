"""The Messages API as a face of the front: requests, answers and streams, each way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.front.anthropic.answer import content_blocks, message_of, message_usage
from streams.front.anthropic.errors import error_object
from streams.front.anthropic.events import MessageEvents
from streams.front.anthropic.request import chat_payload
from streams.front.problems import Problem, ProblemError
from streams.limits.token_estimate import TokenEstimator
from streams.providers.formats.anthropic.request import translate_request

_PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def asked(*messages: dict[str, Any], model: str = "small", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 64, "messages": list(messages), **more}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, **head: str) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": head.pop("name")} if "name" in head else {})
    return chunk({"tool_calls": [{"index": index, **head, "function": function}]})


def put_together(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content that a client of the API has in the end; blocks may not overlap."""
    content: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(content)
                is_open = True
                content.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(content) - 1
                delta = event["delta"]
                name = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "json"}[delta["type"]]
                content[-1][name] += delta[{"json": "partial_json"}.get(name, name)]
            case "content_block_stop":
                is_open = False
    assert not is_open
    for block in content:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(text) if text else {}
    return content


def test_results_of_tools_are_messages_of_their_own_and_their_images_follow() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": _PNG}]}
    payload = chat_payload(
        asked(user("go"), {"role": "assistant", "content": [use]}, user([result, {"type": "text", "text": "?"}]))
    )
    assert [message["role"] for message in payload["messages"]] == ["user", "assistant", "tool", "user"]
    assert payload["messages"][1]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert payload["messages"][2]["tool_call_id"] == "t1"
    assert [part["type"] for part in payload["messages"][3]["content"]] == ["image_url", "text"]


def test_a_failed_tool_is_told_as_failed() -> None:
    """The OpenAI format has no flag for it (TriDefender/zcode-api#23)."""
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "not found"}
    assert chat_payload(asked(user([result])))["messages"][0]["content"] == "error: not found"


def test_a_tool_without_a_type_is_a_function() -> None:
    """Claude Code does not always send one (envoyproxy/ai-gateway#1953)."""
    schema = {"type": "object", "properties": {}}
    for kind in ({}, {"type": "custom"}):
        payload = chat_payload(asked(user("x"), tools=[{"name": "f", "input_schema": schema, **kind}]))
        assert payload["tools"] == [{"type": "function", "function": {"name": "f", "parameters": schema}}]


@pytest.mark.parametrize(
    ("choice", "translated"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_the_choice_among_tools_survives_the_way_there_and_back(choice: dict[str, str], translated: object) -> None:
    tools = [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    payload = chat_payload(asked(user("x"), tools=tools, tool_choice=choice))
    assert payload["tool_choice"] == translated
    assert translate_request(payload)["tool_choice"] == choice


def test_what_only_anthropics_models_take_is_kept_for_them_alone() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    marked = [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]
    native = chat_payload(asked(user(marked), model="claude-opus-4-5", thinking=thinking))
    assert native["thinking"] == thinking
    assert native["messages"][0]["content"] == marked
    other = chat_payload(asked(user(marked), thinking=thinking))
    assert other["reasoning_effort"] == "low"
    assert "thinking" not in other
    assert "cache_control" not in str(other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [user([{"type": "text"}])]},
        {"messages": [user([{"type": "tool_result", "tool_use_id": 7}])]},
        {"messages": [7]},
        {"model": None},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"system": 7},
        {"tools": {"f": {}}},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tool_choice": "auto"},
        {"output_config": {"format": {"type": "text"}}},
    ],
)
def test_what_is_no_request_of_the_api_is_the_callers_mistake(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as refused:
        chat_payload({**asked(user("x")), **wrong})
    assert refused.value.problem.status == 400


def test_tokens_are_counted_of_system_tools_images_and_documents() -> None:
    """A count that forgets some of them, or fails at them, misleads who plans by it (BerriAI/litellm#38657)."""
    estimator = TokenEstimator(100)

    def count(**more: Any) -> int:
        payload = chat_payload({"model": "claude-x", "messages": [user("hi")], **more}, counts=True)
        return estimator.estimate("chat.completions", payload).input

    plain = count()
    assert count(system="s" * 400) > plain + 50
    assert count(tools=[{"name": "f", "description": "d" * 400, "input_schema": {"type": "object"}}]) > plain + 50
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d" * 400}}
    assert count(messages=[user([{"type": "image", "source": _PNG}, document])]) > plain


def test_cached_tokens_are_not_counted_twice() -> None:
    stated = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}}
    assert message_usage(stated) == {
        "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 90, "output_tokens": 7,
    }  # fmt: skip


def test_arguments_of_calls_that_come_in_turns_reach_their_own_call() -> None:
    """A translator that writes to the open block alone loses them (ls1intum/edutelligence#923)."""
    events = MessageEvents("msg_1")
    chunks = [
        call(0, '{"a"', id="t0", name="f"), call(1, '{"b"', id="t1", name="g"),
        call(0, ":1}"), call(1, ":2}"), chunk({}, "tool_calls"),
    ]  # fmt: skip
    told = [event for each in chunks for event in events.take(each)] + events.end()
    assert [(block["name"], block["input"]) for block in put_together(told)] == [("f", {"a": 1}), ("g", {"b": 2})]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


_TEXT = st.text(min_size=1, max_size=8)
_ARGUMENTS = st.dictionaries(_TEXT, st.integers(-9, 9) | _TEXT, max_size=3)


@given(_TEXT | st.none(), _TEXT | st.none(), st.lists(_ARGUMENTS, max_size=3), st.data())
def test_a_stream_says_what_the_whole_answer_says(
    thought: str | None, text: str | None, inputs: list[dict[str, Any]], data: st.DataObject
) -> None:
    """However the answer is cut into chunks: thoughts, then text, then calls, whose pieces come in any turns."""
    arguments = [orjson.dumps(each).decode() for each in inputs]
    calls = [
        {"id": f"t{n}", "type": "function", "function": {"name": f"f{n}", "arguments": each}}
        for n, each in enumerate(arguments)
    ]
    said = {"role": "assistant", "reasoning_content": thought, "content": text, "tool_calls": calls}
    chunks = [chunk({name: character}) for name in ("reasoning_content", "content") for character in said[name] or ""]
    left = {n: list(each) for n, each in enumerate(arguments)}
    chunks += [call(n, "", id=f"t{n}", name=f"f{n}") for n in left]
    while left := {n: rest for n, rest in left.items() if rest}:
        n = data.draw(st.sampled_from(sorted(left)))
        chunks.append(call(n, left[n].pop(0)))
    chunks.append(chunk({}, "tool_calls" if calls else "stop"))
    events = MessageEvents("msg_1")
    told = [event for each in chunks for event in events.take(each)] + events.end()
    assert put_together(told) == content_blocks(said)
    whole = message_of({"choices": [{"message": said, "finish_reason": "tool_calls" if calls else "stop"}]}, "msg_1")
    assert told[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert [event["type"] for event in told].count("message_stop") == 1


@given(st.lists(st.sampled_from(["take", "end", "fail"]), max_size=12))
def test_there_is_at_most_one_terminal_event_and_nothing_after_it(steps: list[str]) -> None:
    events = MessageEvents("msg_1")
    kinds: list[str] = []
    for step in steps:
        if step == "take":
            made = events.take(chunk({"content": "x"}, "stop"))
        else:
            made = events.end() if step == "end" else events.fail(Problem(502, "server_error", "x", "x"))
        kinds += [event["type"] for event in made]
    ends = [index for index, kind in enumerate(kinds) if kind in ("message_stop", "error")]
    assert ends in ([], [len(kinds) - 1])


def test_a_stream_without_an_end_is_an_error() -> None:
    events = MessageEvents("msg_1")
    events.take(chunk({"content": "half"}))
    assert [event["type"] for event in events.end()] == ["error"]


def test_errors_have_the_types_that_the_sdk_knows() -> None:
    kinds = {
        status: error_object(Problem(status, "x", "x", "m"))["error"]["type"]
        for status in (400, 404, 422, 429, 500, 503, 504)
    }
    assert kinds == {
        400: "invalid_request_error", 404: "not_found_error", 422: "invalid_request_error", 429: "rate_limit_error",
        500: "api_error", 503: "overloaded_error", 504: "timeout_error",
    }  # fmt: skip
