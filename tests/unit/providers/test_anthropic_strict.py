"""What is sent to the Messages API is not refused by it, what it answers comes back to it as it was, and its streams say what its
whole answers say.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ops.provider_sim.anthropic_strict import check_strictly
from schemas.request import Request
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.anthropic.names import legal_name, nth_id, original_name
from streams.providers.formats.wire import Answer, Asked, CannotTranslateError
from tests.unit.providers.anthropic_chats import answered_blocks, payloads

CHATS = Asked("chat.completions")
FORMAT = AnthropicFormat(now=lambda: 1_700_000_000.0)
MAY_BE_REFUSED = ("messages: there is nothing but", "thinking: needs max_tokens")


def sent(payload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(FORMAT.encode(Request(payload=payload), stream=False))
    return found


@settings(max_examples=120)
@given(payloads())
def test_no_chat_is_refused_by_the_api(payload: dict[str, Any]) -> None:
    before = orjson.dumps(payload)
    try:
        body = sent(payload)
    except CannotTranslateError as error:
        event(why := str(error)[:30])
        if not why.startswith(MAY_BE_REFUSED):
            raise
        return
    event("translated")
    check_strictly({"anthropic-version": "2023-06-01"}, body)
    assert orjson.dumps(payload) == before  # another provider may get it next


@given(payloads(), st.integers(0, 3))
def test_what_was_said_first_is_sent_in_the_same_words_as_the_chat_goes_on(payload: dict[str, Any], turns: int) -> None:
    """Else the prompt cache would be missed. Marks may move: that is what they are for."""
    longer = payload | {
        "messages": [
            *payload["messages"],
            {"role": "user", "content": "and"},
            *[{"role": "user", "content": "x"}] * turns,
        ]
    }
    try:
        first, second = (_ids(sent(each)) for each in (payload, longer))
    except CannotTranslateError:
        return
    assert second[: len(first)] == first


def _ids(body: dict[str, Any]) -> list[str]:
    return [block["id"] for message in body["messages"] for block in message["content"] if block["type"] == "tool_use"]


NAMES = st.text(max_size=20) | st.text("u8-2e.", max_size=9).map("u8-".__add__)


@given(NAMES, NAMES)
def test_a_name_that_is_sent_is_read_back_and_is_no_other_one(one: str, other: str) -> None:
    assert original_name(legal_name(one)) == one
    assert (legal_name(one) == legal_name(other)) == (one == other)


@given(NAMES, st.integers(1, 4), NAMES, st.integers(1, 4))
def test_ids_stay_apart(one: str, use: int, other: str, other_use: int) -> None:
    assert (nth_id(one, use) == nth_id(other, other_use)) == ((one, use) == (other, other_use))


def answer_to(message: dict[str, Any]) -> Answer:
    found = FORMAT.decode(CHATS, 200, orjson.dumps(message), {})
    assert isinstance(found, Answer), found
    return found


def message_of(blocks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    uses = any(block["type"] == "tool_use" for block in blocks)
    usage = {"input_tokens": 7, "output_tokens": 3}
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": blocks, "usage": usage}
    return made | {"stop_reason": "tool_use" if uses else "end_turn", "stop_sequence": None} | more


@given(answered_blocks())
def test_an_answer_that_the_caller_returns_goes_back_as_it_came(blocks: list[dict[str, Any]]) -> None:
    answer = orjson.loads(answer_to(message_of(blocks)).body)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in answer.get("tool_calls", ())]
    user = {"role": "user", "content": "hi"}
    body = sent({"model": "claude", "messages": [user, answer, *results, user]})
    check_strictly({}, body)
    returned = [block for message in body["messages"] if message["role"] == "assistant" for block in message["content"]]
    assert _joined(returned) == _joined(blocks)


def _joined(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts beside each other are one, and white space does not count: a text of nothing else cannot be sent back."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        text = "".join(block["text"].split()) if block["type"] == "text" else None
        if text is None:
            found.append(block)
        elif text and found and found[-1]["type"] == "text":
            found[-1] = {"type": "text", "text": found[-1]["text"] + text}
        elif text:
            found.append({"type": "text", "text": text})
    return found


@given(answered_blocks(), st.integers(1, 5), st.sampled_from([None, "max_tokens", "refusal", "pause_turn"]))
def test_a_stream_says_what_the_whole_answer_says(blocks: list[dict[str, Any]], size: int, stopped: str | None) -> None:
    message = message_of(blocks, **({"stop_reason": stopped} if stopped else {}))
    assembler = FORMAT.assembler(CHATS)
    for each in streamed(message, size):
        assembler.feed(orjson.dumps(each))
    assert assembler.finish() == answer_to(message)


def streamed(message: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """A message as its events, texts in pieces of `size` characters."""
    found: list[dict[str, Any]] = []
    usage = {"input_tokens": message["usage"]["input_tokens"], "output_tokens": 1}
    found.append({"type": "message_start", "message": message | {"content": [], "stop_reason": None, "usage": usage}})
    for index, block in enumerate(message["content"]):
        head, deltas = _deltas(block, size)
        found.append({"type": "content_block_start", "index": index, "content_block": head})
        found += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        found += [{"type": "content_block_stop", "index": index}, {"type": "ping"}]
    counts = {"output_tokens": message["usage"]["output_tokens"], "input_tokens": None}
    found.append({"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]}, "usage": counts})
    return [*found, {"type": "message_stop"}]


def _deltas(block: dict[str, Any], size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def pieces(text: str) -> list[str]:
        return [text[at : at + size] for at in range(0, len(text), size)]

    kind = block["type"]
    if kind == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    if kind == "thinking":
        thought = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        return block | {"thinking": "", "signature": ""}, [
            *thought,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if kind == "tool_use":
        text = orjson.dumps(block["input"]).decode()
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(text)]
    return block, []
