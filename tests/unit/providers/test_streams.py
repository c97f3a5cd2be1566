"""Streamed answers are put together to what would have come whole, in both formats; a broken one is a failure."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.provider_sim import Hint, answers, anthropic, events
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.sse import EventDecoder
from streams.providers.formats.wire import Answer, Asked, Failure, Format

NOW = AnthropicFormat(now=lambda: 0.0)
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}
CLAUDE_TOOLS: dict[str, Any] = {"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}


def assembled(wire: Format, stream: bytes) -> Answer | Failure:
    assembler = wire.assembler(Asked("chat.completions"))
    for data in EventDecoder().feed(stream):
        assembler.feed(data)
    return assembler.finish()


def openai_pair(**more: Any) -> tuple[dict[str, Any], bytes]:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20, **more}
    whole = answers.chat_answer(body, answers.chat_tokens(body, Hint()), 0)
    return whole, b"".join(events.openai_events(whole, include_usage=True))


def anthropic_pair(**more: Any) -> tuple[dict[str, Any], bytes]:
    body = {"model": "claude", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20, **more}
    whole = anthropic.answer(body, answers.chat_tokens(body, Hint()), 0)
    return whole, b"".join(events.anthropic_events(whole))


@pytest.mark.parametrize("more", [{}, TOOLS])
def test_an_openai_stream_is_its_whole_answer(more: dict[str, Any]) -> None:
    whole, stream = openai_pair(**more)
    found = assembled(OpenaiFormat(), stream)
    assert isinstance(found, Answer)
    assert orjson.loads(found.body) == whole
    assert found.usage.total_tokens == whole["usage"]["total_tokens"]


@pytest.mark.parametrize("more", [{}, CLAUDE_TOOLS])
def test_an_anthropic_stream_is_its_whole_answer(more: dict[str, Any]) -> None:
    whole, stream = anthropic_pair(**more)
    found, wanted = assembled(NOW, stream), NOW.decode(Asked("chat.completions"), 200, orjson.dumps(whole), {})
    assert isinstance(found, Answer)
    assert found == wanted


@pytest.mark.parametrize(("wire", "pair"), [(OpenaiFormat(), openai_pair), (NOW, anthropic_pair)])
def test_a_stream_that_ends_early_anywhere_is_a_failure_that_may_pass(wire: Format, pair: Any) -> None:
    _, stream = pair()
    whole_events = stream.split(b"\n\n")
    last = next(n for n, event in enumerate(whole_events) if b'finish_reason":"' in event or b"message_stop" in event)
    for count in range(last):
        found = assembled(wire, b"\n\n".join(whole_events[:count]) + b"\n\n")
        assert isinstance(found, Failure)
        assert found.retryable


@pytest.mark.parametrize(
    ("wire", "broken"),
    [
        (OpenaiFormat(), b'data: {"error": {"message": "overloaded"}}\n\n'),
        (NOW, b'event: error\ndata: {"type": "error", "error": {"message": "overloaded"}}\n\n'),
    ],
)
def test_an_error_in_the_stream_is_told(wire: Format, broken: bytes) -> None:
    found = assembled(wire, broken)
    assert isinstance(found, Failure)
    assert "overloaded" in found.message


@given(
    st.sampled_from([OpenaiFormat(), NOW]), st.lists(st.binary(max_size=30) | st.just(b'{"choices": [7]}'), max_size=5)
)
def test_whatever_a_stream_holds_nothing_is_raised(wire: Format, data: list[bytes]) -> None:
    assembler = wire.assembler(Asked("chat.completions"))
    for each in data:
        assembler.feed(each)
    assert isinstance(assembler.finish(), Answer | Failure)


def test_several_choices_and_unknown_fields_survive() -> None:
    chunks = [
        {"id": "c", "model": "m", "new": 1, "choices": [{"index": 1, "delta": {"role": "assistant", "content": "b"}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "a", "reasoning_content": "x"}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"reasoning_content": "y"}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [{"index": 1, "delta": {"content": "c"}, "finish_reason": "length"}]},
    ]
    stream = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)
    found = assembled(OpenaiFormat(), stream)
    assert isinstance(found, Answer)
    body = orjson.loads(found.body)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "bc"]
    assert (body["choices"][0]["message"]["reasoning_content"], body["new"]) == ("xy", 1)
