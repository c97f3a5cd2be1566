"""Chunks for others: of an OpenAI stream they are its own, of an Anthropic one they say what the whole message would."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.openai.chunks import OpenaiChunker
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.wire import Answer, Asked

CHAT = Asked("chat.completions")
CHUNK = b'{"id":"c", "choices":[{"index":0,"delta":{"content":"h\xc3\xa9"}}], "odd": 1e3}'


def test_a_chunk_passes_untouched() -> None:
    assert list(OpenaiChunker().feed(b" " + CHUNK)) == [CHUNK]


@pytest.mark.parametrize(
    "data",
    [
        b"[DONE]",
        b"",
        b": comment",
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": null}',
        b"7",
        b"{",
        b'{"type": "ping"}',
    ],
)
def test_what_is_no_chunk_is_passed_over(data: bytes) -> None:
    assert list(OpenaiChunker().feed(data)) == []


@pytest.mark.parametrize(
    "data", [b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', b'{"choices":\n[{"delta":{"content":"x"}}]}']
)
def test_a_chunk_is_strict_json_on_one_line(data: bytes) -> None:
    (chunk,) = OpenaiChunker().feed(data)
    assert b"\n" not in chunk
    assert orjson.loads(chunk)["choices"]


def events(blocks: list[dict[str, Any]], pieces: int, stop: str) -> list[bytes]:
    """A message of these blocks as the API streams it, each text in so many pieces."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "role": "assistant", "usage": usage}}
    ]
    for index, block in enumerate(blocks):
        name = {"text": "text", "thinking": "thinking"}.get(block["type"])
        text = block[name] if name else orjson.dumps(block["input"]).decode() if block.get("input") else ""
        empty: dict[str, Any] = {"input": {}}
        head: dict[str, Any] = block | ({name: ""} if name else empty)
        signature = head.pop("signature", None)
        found.append({"type": "content_block_start", "index": index, "content_block": head})
        size = max(1, len(text) // pieces)
        kind = {"text": "text_delta", "thinking": "thinking_delta"}.get(block["type"], "input_json_delta")
        field = name or "partial_json"
        for at in range(0, len(text), size):
            delta = {"type": kind, field: text[at : at + size]}
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        if signature:
            delta = {"type": "signature_delta", "signature": signature}
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
    found.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}})
    return [orjson.dumps(each) for each in [*found, {"type": "message_stop"}]]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
THOUGHT = st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, TEXTS, TEXTS)
SAID = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
CALLS = st.builds(
    lambda number, given: {"type": "tool_use", "id": f"t{number}", "name": "f", "input": given},
    st.integers(0, 9),
    st.dictionaries(TEXTS, st.integers(-9, 9), max_size=2),
)
MESSAGES = st.tuples(
    st.lists(THOUGHT, max_size=1), st.lists(SAID, max_size=2), st.lists(CALLS, max_size=2, unique_by=lambda c: c["id"])
).map(lambda parts: [block for part in parts for block in part])


@given(MESSAGES.filter(bool), st.integers(1, 5))
def test_the_chunks_of_a_message_say_what_the_whole_says(blocks: list[dict[str, Any]], pieces: int) -> None:
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    told = events(blocks, pieces, stop)
    wire = AnthropicFormat(lambda: 7.0)
    whole, chunker, put_together = wire.assembler(CHAT), wire.chunker(), OpenaiFormat().assembler(CHAT)
    for event in told:
        whole.feed(event)
        for chunk in chunker.feed(event):
            put_together.feed(chunk)
    answer, again = whole.finish(), put_together.finish()
    assert isinstance(answer, Answer)
    assert isinstance(again, Answer)
    assert again.usage == answer.usage
    expected, found = (orjson.loads(each.body) for each in (answer, again))
    assert found["choices"][0]["finish_reason"] == expected["choices"][0]["finish_reason"]
    wanted = expected["choices"][0]["message"] | {"content": expected["choices"][0]["message"]["content"] or ""}
    assert found["choices"][0]["message"] == {"content": ""} | wanted


ODD = st.sampled_from(
    [
        *(
            CHUNK,
            b" " + CHUNK,
            CHUNK + b"\n",
            CHUNK.replace(b", ", b",\n"),
            b"[DONE]",
            b"",
            b": hi",
            b"7",
            b"null",
            b"{",
        ),
        *(b'{"choices":null}', b'{"choices":{}}', b'{"choices":[7]}', b'{"choices":[],"usage":{"total_tokens":1}}'),
        *(b'{"type":"ping"}', b'{"error":{"message":"no"}}', b'{"error":null,"choices":[]}'),
        *(b'{"error":{},"choices":[]}', b'{"choices":[{"delta":{"content":"\\ud83d"}}]}'),
    ]
)


@given(st.lists(ODD, max_size=6))
@example([CHUNK.replace(b", ", b",\n")])
def test_what_the_assembler_calls_a_chunk_is_what_the_chunker_would_give(stream: list[bytes]) -> None:
    assembler, chunker = OpenaiFormat().assembler(CHAT), OpenaiChunker()
    for data in stream:
        assembler.feed(data)
        if assembler.is_chunk:
            assert list(chunker.feed(data)) == [data]
    assembler = OpenaiFormat().assembler(CHAT)
    assembler.feed(CHUNK)
    assert assembler.is_chunk
