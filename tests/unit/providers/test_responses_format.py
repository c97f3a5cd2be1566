"""The Responses format: requests and answers of chats, translated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest

from ops.provider_sim.answers import chat_answer, chat_tokens
from ops.provider_sim.responses import response_events, response_of
from ops.provider_sim.settings import Hint
from schemas.request import Request
from streams.kept import Kept
from streams.providers.formats.responses.format import ResponsesFormat
from streams.providers.formats.sse import EventDecoder
from streams.providers.formats.wire import Answer, Asked, CannotTranslateError, Failure
from tests.unit.test_kept import said

CHAT = Asked("chat.completions")
FORMAT = ResponsesFormat(background=True)
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def encoded(stream: bool = True, **payload: Any) -> dict[str, Any]:
    given = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **payload}
    body: dict[str, Any] = orjson.loads(FORMAT.encode(Request(payload=given), stream=stream))
    return body


def events_of(text_tokens: int = 6, **body: Any) -> tuple[dict[str, Any], list[bytes]]:
    """A response of the simulator, and the data of its events."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}
    tokens = chat_tokens(chat, Hint(completion_tokens=text_tokens))
    completion = chat_answer(chat, tokens, 0)
    response = response_of(completion, "resp_1", background=True)
    decoder = EventDecoder()
    wire = b"".join(event for _, event in response_events(response, tokens.completion))
    return completion, [*decoder.feed(wire), *decoder.end()]


def assembled(events: Iterable[bytes], told: Sequence[bytes] = ()) -> Answer | Failure:
    assembler = FORMAT.assembler(CHAT, told)
    for event in events:
        assembler.feed(event)
    return assembler.finish()


def message_of(result: Answer | Failure) -> dict[str, Any]:
    assert isinstance(result, Answer), result
    found: dict[str, Any] = orjson.loads(result.body)["choices"][0]["message"]
    return found


def test_a_stream_is_asked_for_in_the_background_and_kept() -> None:
    body = encoded()
    assert (body["stream"], body["background"], body["store"]) == (True, True, True)
    assert "background" not in encoded(stream=False)
    assert encoded(stream=False)["store"] is False, "a chat is not kept unless that is needed"


def test_who_forbids_to_keep_the_answer_has_none_in_the_background() -> None:
    body = encoded(store=False)
    assert "background" not in body
    assert body["store"] is False


def test_a_conversation_with_tools_is_translated() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    body = encoded(
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "u"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "7"},
        ],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look_up"}},
        max_tokens=5,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
    )
    assert body["input"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": "u"}],
        },
        {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
    ]
    assert body["tools"] == [{"type": "function", "strict": False, **TOOL["function"]}]  # type: ignore[dict-item]
    assert body["tool_choice"] == {"type": "function", "name": "look_up"}
    assert (body["max_output_tokens"], body["reasoning"]) == (5, {"effort": "low"})
    assert body["text"] == {"format": {"type": "json_schema", "name": "a", "schema": {}}}


@pytest.mark.parametrize(
    "payload",
    [
        {"stop": "x"},
        {"n": 2},
        {"logprobs": True},
        {"functions": [{}]},
        {"messages": [{"role": "alien", "content": ""}]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_would_be_lost_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(CannotTranslateError):
        encoded(**payload)


@pytest.mark.parametrize("body", [{}, {"tools": [TOOL], "tool_choice": "required"}], ids=["text", "tool"])
def test_a_stream_says_what_the_whole_answer_says(body: dict[str, Any]) -> None:
    completion, events = events_of(**body)
    message = completion["choices"][0]["message"]
    found = message_of(assembled(events))
    assert {name: found.get(name) for name in message} == message
    whole = message_of(assembled(events[-1:]))
    assert {name: whole.get(name) for name in message} == message, "the last event alone has all of it"


def test_the_chunks_say_the_answer_and_number_its_events() -> None:
    completion, events = events_of()
    chunker, told, reached = FORMAT.chunker(), [], []
    for event in events:
        told += list(chunker.feed(event))
        reached.append(chunker.reached)
    assert said(told) == completion["choices"][0]["message"]["content"]
    assert chunker.upstream_id == "resp_1"
    assert reached == list(range(len(events)))
    assert orjson.loads(told[-1])["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("at", range(2, 15))
def test_a_stream_is_gone_on_with_behind_any_event(at: int) -> None:
    """Also where its last event has no output, and where nothing follows but that (openai/openai-ruby#548)."""
    completion, events = events_of()
    before, kept = FORMAT.chunker(), Kept()
    for event in events[:at]:
        for chunk in before.feed(event):
            kept.take(chunk)
    last = orjson.loads(events[-1])
    last["response"]["output"] = []
    behind = [*events[at:-1], orjson.dumps(last)] if at < len(events) else []
    if not behind or kept.reason:
        return
    text = completion["choices"][0]["message"]["content"]
    assert message_of(assembled(behind, kept.retold()))["content"] == text
    after = FORMAT.chunker(kept.head)
    chunks = [chunk for event in behind for chunk in after.feed(event)]
    assert kept.text + said(chunks) == text
    assert {orjson.loads(chunk)["id"] for chunk in chunks} == {"resp_1"}, "events do not say whose they are"


@pytest.mark.parametrize("kind", ["response.failed", "response.cancelled", "error"])
def test_an_answer_that_failed_is_no_answer(kind: str) -> None:
    _, events = events_of()
    if kind == "error":
        last: dict[str, Any] = {"type": "error", "code": "server_error", "message": "it broke", "sequence_number": 9}
    else:
        error = {"code": "server_error", "message": "it broke"} if kind == "response.failed" else None
        last = {"type": kind, "response": {"id": "resp_1", "status": kind.removeprefix("response."), "error": error}}
    result = assembled([*events[:6], orjson.dumps(last)])
    assert isinstance(result, Failure)
    chunker = FORMAT.chunker()
    for event in (*events[:6], orjson.dumps(last)):
        list(chunker.feed(event))
    assert chunker.failed


def test_a_stream_that_ends_early_is_no_answer() -> None:
    _, events = events_of()
    assert isinstance(assembled(events[:-1]), Failure)


def test_an_answer_cut_by_its_limit_says_so() -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    tokens = chat_tokens(chat, Hint(completion_tokens=9))
    response = response_of(chat_answer(chat, tokens, 0), "resp_1", background=False)
    result = FORMAT.decode(CHAT, 200, orjson.dumps(response), {})
    assert isinstance(result, Answer)
    assert not result.whole
    assert orjson.loads(result.body)["choices"][0]["finish_reason"] == "length"
    assert result.usage.completion_tokens == 2


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", "failed"])
def test_a_response_that_is_not_there_is_no_answer(status: str) -> None:
    body = orjson.dumps({"id": "resp_1", "status": status, "output": []})
    assert isinstance(FORMAT.decode(CHAT, 200, body, {}), Failure)


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"type": 7}', b'{"type": "response.output_text.delta"}', b"7"])
def test_what_is_no_event_is_a_failure_and_no_fault(data: bytes) -> None:
    assert isinstance(assembled([data]), Failure)
