"""The Responses API as a face of the front: requests, responses and streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from streams.front.problems import Problem, ProblemError
from streams.front.responses.answer import events_of, failed_response, open_response, response_of
from streams.front.responses.events import ResponseEvents
from streams.front.responses.output import sign_thoughts, signed_thoughts
from streams.front.responses.request import chat_payload

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_OPENED = open_response("resp_1", 1_700_000_000, "in_progress", {"model": "small"})
_USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"model": "m", "choices": [choice], "usage": _USAGE}


def call(number: int) -> dict[str, Any]:
    return {"id": f"c{number}", "type": "function", "function": {"name": f"f{number}", "arguments": '{"a":1}'}}


_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": st.text(min_size=1, max_size=9),
        "content": st.text(min_size=1, max_size=9),
        "refusal": st.text(min_size=1, max_size=9),
        "tool_calls": st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(
            lambda ns: [call(n) for n in ns]
        ),
    },
)


@given(_MESSAGES)
def test_every_event_is_one_that_the_sdk_knows_and_the_last_has_the_whole(message: dict[str, Any]) -> None:
    """Clients fail at fields that are missing (BerriAI/litellm#28899, Oaklight/llm-rosetta#56)."""
    events = events_of(completion(message), _OPENED)
    for event in events:
        _EVENT.validate_python(event, strict=False)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events if event["type"] in ("response.completed", "response.failed")] == [
        events[-1]["type"]
    ]
    whole = Response.model_validate(events[-1]["response"])
    assert whole.output_text == message.get("content", "")
    said = [item.name for item in whole.output if item.type == "function_call"]
    assert said == [each["function"]["name"] for each in message.get("tool_calls", ())]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
    assert sorted(added) == sorted(done) == sorted(item["id"] for item in events[-1]["response"]["output"])


def test_a_text_is_told_in_the_order_that_clients_insist_on() -> None:
    """Without these events strict clients show nothing (Sophomoresty/gemini-web2api#57)."""
    assert [event["type"] for event in events_of(completion({"content": "hi"}), _OPENED)] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.done", "response.content_part.done",
        "response.output_item.done", "response.completed",
    ]  # fmt: skip


def test_an_answer_that_was_cut_is_incomplete() -> None:
    response = response_of(completion({"content": "hal"}, "length"), _OPENED)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_a_stream_without_an_end_has_failed_and_says_nothing_more() -> None:
    events = ResponseEvents(_OPENED)
    events.take({"choices": [{"index": 0, "delta": {"content": "half"}}]})
    assert [event["type"] for event in events.end()] == ["response.failed"]
    assert events.end() == events.fail(Problem(500, "x", "x", "x")) == []


def test_a_failed_response_tells_why() -> None:
    failed = failed_response(Problem(429, "rate_limit_error", "queue_full", "full"), _OPENED)
    assert (failed["status"], failed["error"]) == ("failed", {"code": "rate_limit_exceeded", "message": "full"})


def test_items_become_the_turns_of_a_chat() -> None:
    payload = chat_payload(
        {
            "model": "small",
            "instructions": "be brief",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
                {"type": "reasoning", "id": "rs", "summary": []},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "a"},
                {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "b"}]},
            ],
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            "max_output_tokens": 9,
        }
    )
    assert [message["role"] for message in payload["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert [each["id"] for each in payload["messages"][2]["tool_calls"]] == ["c1", "c2"]
    assert payload["response_format"]["json_schema"] == {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert payload["max_completion_tokens"] == 9


def test_signed_thoughts_come_back_as_they_were() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    assert signed_thoughts(sign_thoughts(blocks)) == blocks
    assert sign_thoughts([{"type": "thinking", "thinking": "hm", "signature": ""}]) is None
    assert signed_thoughts("gAAAA of another provider") == []
    assert signed_thoughts("headrace-thoughts:%%%") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": None},
        {"input": []},
        {"input": [7]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_0"},
        {"tools": [{"type": "web_search"}]},
        {"tool_choice": {"type": "file_search"}},
        {"max_output_tokens": 0},
        {"text": {"format": {"type": "json_schema"}}},
        {"instructions": 7},
    ],
)
def test_what_is_not_served_is_the_callers_to_change(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as refused:
        chat_payload({"model": "small", "input": "x", **wrong})
    assert refused.value.problem.status == 400
