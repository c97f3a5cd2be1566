"""Chats and answers, translated to and from the Anthropic format."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.request import Request
from schemas.response import Usage
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.wire import Answer, Asked, CannotTranslateError, Failure

CHATS = Asked("chat.completions")
FORMAT = AnthropicFormat(now=lambda: 1_700_000_000.5)
USER = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "a"}
NAMELESS_CALL = {"id": "1", "function": {"arguments": "{}"}}
WEATHER = {"name": "weather", "description": "Of a city.", "parameters": {"type": "object", "properties": {"city": {}}}}


def sent(*messages: dict[str, Any], **more: Any) -> Any:
    request = Request(payload={"model": "claude", "messages": list(messages or [USER]), **more})
    return orjson.loads(FORMAT.encode(request, stream=False))


def answered(**message: Any) -> Any:
    whole = {"id": "msg_1", "type": "message", "model": "claude", "content": [], "stop_reason": "end_turn"} | message
    found = FORMAT.decode(CHATS, 200, orjson.dumps(whole), {})
    assert isinstance(found, Answer)
    return orjson.loads(found.body)


def test_a_plain_chat() -> None:
    assert sent(USER, max_tokens=64, temperature=1.7, top_p=0.9, stop="END", user="u-1", seed=7, top_k=5) == {
        "model": "claude",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "max_tokens": 64,
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "top_k": 5,  # the format's own: whoever writes it means it
    }


def test_system_prompts_stand_beside_the_messages_and_a_bound_is_always_set() -> None:
    found = sent({"role": "system", "content": "Be brief."}, {"role": "developer", "content": "And kind."}, USER)
    assert [block["text"] for block in found["system"]] == ["Be brief.", "And kind."]
    assert found["max_tokens"] == 4096
    assert sent(USER, max_completion_tokens=9, max_tokens=5)["max_tokens"] == 9


def test_tool_calls_and_their_results() -> None:
    called = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    again = {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": ""}}
    found = sent(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [called, again]},
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "t2", "content": ""},
        {"role": "user", "content": "and now?"},
        tools=[{"type": "function", "function": WEATHER}],
    )
    assert [message["role"] for message in found["messages"]] == ["user", "assistant", "user"]
    assert found["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
    ]
    assert found["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]},
        {"type": "tool_result", "tool_use_id": "t2"},
        {"type": "text", "text": "and now?"},
    ]
    assert found["tools"] == [{"name": "weather", "description": "Of a city.", "input_schema": WEATHER["parameters"]}]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice(choice: object, wanted: dict[str, str]) -> None:
    tools = [{"type": "function", "function": WEATHER}]
    assert sent(USER, tools=tools, tool_choice=choice)["tool_choice"] == wanted
    alone = sent(USER, tools=tools, tool_choice=choice, parallel_tool_calls=False)["tool_choice"]
    assert alone.get("disable_parallel_tool_use", False) == (choice != "none")


def test_images_and_files() -> None:
    found = sent(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
            ],
        }
    )
    text, inline, linked, file = found["messages"][0]["content"]
    assert text["cache_control"] == {"type": "ephemeral"}
    assert inline["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert linked["source"] == {"type": "url", "url": "https://example.com/a.png"}
    assert (file["type"], file["source"]["media_type"]) == ("document", "application/pdf")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"n": 2}, "n: "),
        ({"response_format": {"type": "json_object"}}, "response_format: "),
        ({"logprobs": True}, "logprobs: "),
        ({"functions": []}, "functions: "),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0: role 'function'"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0: a part of type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}]}, "data: URL"),
        ({"messages": ["hi"]}, "messages.0: not a message"),
        ({"messages": [{"role": "assistant", "tool_calls": [NAMELESS_CALL]}]}, "messages.0: not a message"),
        ({"tools": [{"type": "function"}]}, "tools: "),
        ({"tools": [{"type": "function", "function": WEATHER}], "tool_choice": "any"}, "tool_choice: "),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_and_named(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotTranslateError, match=why):
        sent(**{"messages": [USER], **changed}) if "messages" not in changed else FORMAT.encode(
            Request(payload={"model": "claude", **changed}), stream=False
        )


def test_an_answer_with_its_usage() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 5, "output_tokens": 7}
    found = FORMAT.decode(
        CHATS,
        200,
        orjson.dumps({"id": "msg_1", "model": "claude", "content": [TEXT], "stop_reason": "end_turn", "usage": usage}),
        {},
    )
    assert isinstance(found, Answer)
    assert (found.usage, found.cached_tokens) == (Usage(45, 7, 52), 30)
    body = orjson.loads(found.body)
    assert (body["object"], body["created"], body["id"]) == ("chat.completion", 1_700_000_000, "msg_1")
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 30, "cache_creation_tokens": 5}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=3), st.dictionaries(st.sampled_from(["tools", "tool_choice", "stop"]), JSON))
def test_whatever_is_asked_is_translated_or_refused(messages: list[Any], more: dict[str, Any]) -> None:
    request = Request(payload={"model": "claude", "messages": messages, **more})
    with suppress(CannotTranslateError):
        assert orjson.loads(FORMAT.encode(request, stream=False))["messages"]


@given(JSON)
def test_whatever_is_answered_is_an_answer_or_a_failure(body: object) -> None:
    assert isinstance(FORMAT.decode(CHATS, 200, orjson.dumps(body), {}), Answer | Failure)
    assert isinstance(
        FORMAT.decode(CHATS, 200, orjson.dumps({"content": body, "usage": body}), {}),
        Answer | Failure,
    )
