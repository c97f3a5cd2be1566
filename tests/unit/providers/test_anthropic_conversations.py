"""Conversations and tools as people reported them, on their way to the Messages API. Sources stand in the names of the cases."""

from __future__ import annotations

from typing import Any

import pytest

from streams.providers.formats.wire import CannotTranslateError
from tests.unit.providers.anthropic_samples import LOOK, USER, call, result, sent, uses


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        pytest.param(
            [{"role": "assistant", "content": "Hello!"}, USER],
            ["user", "assistant", "user"],
            id="starts-with-assistant",
        ),
        pytest.param([{"role": "system", "content": "Say hi."}], ["user"], id="system-alone"),
        pytest.param([USER, {"role": "assistant", "content": "\n"}, USER], ["user"], id="home-assistant/core#175637"),
        pytest.param(
            [USER, {"role": "user", "content": [{"type": "text", "text": " "}]}], ["user"], id="experiential#799"
        ),
        pytest.param(
            [{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}, USER],
            ["user", "assistant", "user"],
            id="blank-first",
        ),
    ],
)
def test_roles_begin_with_the_user_and_nothing_is_empty(messages: list[dict[str, Any]], roles: list[str]) -> None:
    assert [message["role"] for message in sent(*messages)["messages"]] == roles


def test_a_chat_of_white_space_is_refused_before_the_call() -> None:
    with pytest.raises(CannotTranslateError, match="nothing but white space"):
        sent({"role": "system", "content": "\n"}, {"role": "user", "content": " "})


@pytest.mark.parametrize(
    ("more", "end"),
    [
        pytest.param({"model": "claude-opus-4-6"}, "(continue)", id="vercel/ai#12296"),
        pytest.param({"model": "us.anthropic.claude-sonnet-4-6"}, "(continue)", id="Kilo-Org/kilocode#8260"),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "(continue)", id="thinking-has-no-prefill"
        ),
        pytest.param({"model": "claude-3-haiku-20240307"}, "The answer is", id="tailcallhq/forgecode#1872"),
    ],
)
def test_a_chat_that_ends_with_the_assistant_goes_on_as_the_model_can(more: dict[str, Any], end: str) -> None:
    body = sent(USER, {"role": "assistant", "content": "The answer is \n"}, **more)
    assert body["messages"][-1]["content"][-1]["text"] == end


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param(["functions.Bash:0"], id="maximhq/bifrost#5097"),
        pytest.param(["call|fc_1", "call.fc_1"], id="HKUDS/nanobot#4356"),
        pytest.param(["", ""], id="vectorize-io/hindsight#4250"),
        pytest.param(["call_0", "call_0"], id="trycua/cua#524"),
    ],
)
def test_ids_of_other_vendors_are_mapped_alike_in_calls_and_results(ids: list[str]) -> None:
    turns = [USER, uses(*map(call, ids)), *(result(each, f"r{n}") for n, each in enumerate(ids))]
    body = sent(*turns, *turns, tools=[LOOK])
    used = [block["id"] for message in body["messages"] for block in message["content"] if block["type"] == "tool_use"]
    results = [block for message in body["messages"] for block in message["content"] if block["type"] == "tool_result"]
    assert [block["tool_use_id"] for block in results] == used
    assert [block["content"][0]["text"] for block in results] == [f"r{n}" for n in range(len(ids))] * 2
    assert used[: len(ids)] == [
        block["id"] for block in sent(*turns, tools=[LOOK])["messages"][1]["content"]
    ]  # stable as the chat goes on


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([uses(call("a"), call("b")), result("b"), USER, result("a")], id="a-word-between"),
        pytest.param([uses(call("a")), uses(call("b")), result("a"), result("b")], id="calls-in-messages-of-their-own"),
        pytest.param([uses(call("a")), {"role": "system", "content": "x"}, result("a")], id="instructions-between"),
        pytest.param([uses(call("a")), {"role": "assistant", "content": "Wait."}, result("a")], id="words-between"),
        pytest.param([uses(call("a")), result("a", "one"), result("a", "two")], id="two-results"),
        pytest.param([uses(call("a")), result("a", "")], id="an-empty-result"),
    ],
)
def test_results_stand_directly_after_their_calls(messages: list[dict[str, Any]]) -> None:
    sent(USER, *messages, tools=[LOOK])


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        pytest.param(
            [USER, uses(call("a"), call("b")), result("a")],
            r"messages\.1: the tool call 'b' has no result",
            id="OpenHands/OpenHands#7512",
        ),
        pytest.param(
            [USER, uses(call("a")), USER], r"messages\.1: the tool call 'a' has no result", id="claude-code#8210"
        ),
        pytest.param(
            [USER, result("a")], r"messages\.1: a result of no tool call before it: 'a'", id="claude-code#18947"
        ),
    ],
)
def test_calls_and_results_without_each_other_are_refused_before_the_call(
    messages: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(CannotTranslateError, match=why):
        sent(*messages, tools=[LOOK])


def test_tools_that_a_chat_has_used_are_defined_where_the_request_has_none() -> None:
    body = sent(USER, uses(call("a", "server.look")), result("a"))
    assert [tool["name"] for tool in body["tools"]] == ["u8-server-2elook"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("arguments", ['{"city": "Be', "[1]", '"x"'])
def test_arguments_that_are_no_object_are_sent_as_one(arguments: str) -> None:
    use = sent(USER, uses(call("a", arguments=arguments)), result("a"), tools=[LOOK])["messages"][1]["content"][0]
    assert use["input"].keys() == {"arguments"}


def tool(parameters: Any, **more: Any) -> Any:
    return sent(tools=[{"type": "function", "function": {"name": "f", "parameters": parameters} | more}])["tools"][0]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        pytest.param({"properties": {}}, {"type": "object", "properties": {}}, id="envoyproxy/ai-gateway#2358"),
        pytest.param(None, {"type": "object", "properties": {}}, id="no-parameters"),
        pytest.param({"type": ["object", "null"], "properties": None}, {"type": "object"}, id="nullable"),
        pytest.param(
            {
                "type": "object",
                "properties": {"route": {}, "file": {}},
                "anyOf": [{"required": ["route"]}, {"required": ["file"]}],
            },
            {"type": "object", "properties": {"route": {}, "file": {}}},
            id="anomalyco/opencode#35516",
        ),
        pytest.param(
            {
                "allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"$ref": "#/$defs/B"}],
                "$defs": {"B": {"properties": {"b": {}}}},
            },
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "required": ["a"],
                "$defs": {"B": {"properties": {"b": {}}}},
            },
            id="dearlordylord/huly-mcp#66",
        ),
    ],
)
def test_schemas_are_completed(parameters: Any, schema: Any) -> None:
    assert tool(parameters)["input_schema"] == schema


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "f", "parameters": {"type": "string"}}, r"tools\.0: parameters must be of type object, not 'string'"),
        ({"name": "f", "parameters": {"properties": {"a b": {}}}}, r"tools\.0: the property 'a b'"),
        ({"name": "x" * 129}, r"tools\.0: a name has 1 to 128"),
        ({"name": ""}, r"tools\.0: a name has 1 to 128"),
    ],
)
def test_functions_that_the_api_has_no_words_for_are_refused_before_the_call(given: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotTranslateError, match=why):
        sent(tools=[{"type": "function", "function": given}])


def test_tools_of_the_api_itself_pass() -> None:
    own = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"name": "f", "input_schema": {"type": "object"}},
    ]
    assert sent(tools=own)["tools"] == own
    with pytest.raises(CannotTranslateError, match="'custom' has no place"):
        sent(tools=[{"type": "custom", "custom": {"name": "free text"}}])


def test_the_choice_among_some_tools_leaves_the_others_out() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [LOOK]}}
    body = sent(tools=[LOOK, other], tool_choice=allowed)
    assert ([each["name"] for each in body["tools"]], body["tool_choice"]) == (["look"], {"type": "any"})


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "there is no tool 'other'"),
        ({"tools": [LOOK, {"type": "function", "function": {"name": "look"}}]}, "two of them have the name 'look'"),
        ({"tools": [], "tool_choice": "required"}, "there is no such tool"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_before_the_call(more: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotTranslateError, match=why):
        sent(**{"tools": [LOOK]} | more)
