"""Events of a streamed message as chunks of a chat completion, one by one: what a reader puts together of them is what
`translate_answer` makes of the whole message. Pure.

Events: https://docs.claude.com/en/docs/build-with-claude/streaming. Chunks:
https://platform.openai.com/docs/api-reference/chat-streaming, with LiteLLM's `reasoning_content` and `thinking_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from streams.providers.formats.anthropic.answer import explanation_of, finish_reason, usage_in_openai
from streams.providers.formats.anthropic.names import original_name
from streams.providers.formats.anthropic.parts import THOUGHTS
from streams.providers.formats.json_body import encode, parse_leniently

_TEXTS: Final = {"text_delta": ("text", "content"), "thinking_delta": ("thinking", "reasoning_content")}


class AnthropicChunker:
    """`created`: Unix seconds. A tool's arguments come as the model writes them; a whole answer may space them otherwise."""

    upstream_id: str | None = None
    reached: int | None = None
    failed = False

    def __init__(self, created: int) -> None:
        self._head: dict[str, Any] = {"object": "chat.completion.chunk", "created": created}
        self._blocks: dict[int, dict[str, Any]] = {}
        """Open blocks by their index; of a thought the text so far, of a tool's call its number and whether it has arguments."""
        self._calls = 0
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The chunks that one event's data brings. Raises ValueError, KeyError or TypeError for what is no event."""
        data = data.strip()
        if not data or data.startswith(b":") or data == b"[DONE]":
            return
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = parse_leniently(data)
        match event.get("type"):
            case "message_start":
                yield self._start(event["message"])
            case "content_block_start":
                yield from self._begin(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._delta(event["index"], event.get("delta") or {})
            case "content_block_stop":
                yield from self._stop(event["index"])
            case "message_delta":
                self._count(event.get("usage"))
                yield from self._end(event.get("delta") or {})

    def _start(self, message: dict[str, Any]) -> bytes:
        self._head |= {"id": message.get("id"), "model": message.get("model")}
        self._count(message.get("usage"))
        return self._chunk({"role": "assistant", "content": ""})

    def _begin(self, index: int, block: dict[str, Any]) -> Iterator[bytes]:
        kind = block["type"]
        known = self._blocks[index] = {name: value for name, value in block.items() if value is not None}
        if kind == "text" and block.get("text"):
            yield self._chunk({"content": block["text"]})
        elif kind == "thinking" and block.get("thinking"):
            yield self._chunk({"reasoning_content": block["thinking"]})
        elif kind == "tool_use":
            known["number"], known["written"] = self._calls, False
            self._calls += 1
            function = {"name": original_name(block["name"]), "arguments": ""}
            yield self._call(known, {"id": block["id"], "type": "function", "function": function})

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[bytes]:
        kind = delta.get("type")
        if kind in _TEXTS:
            name, field = _TEXTS[kind]
            if piece := delta.get(name):
                block = self._blocks.setdefault(index, {"type": name})
                if name == "thinking":
                    block["thinking"] = block.get("thinking", "") + piece
                yield self._chunk({field: piece})
        elif kind == "signature_delta" and delta.get("signature"):
            self._blocks.setdefault(index, {"type": "thinking"})["signature"] = delta["signature"]
        elif kind == "input_json_delta" and (piece := delta.get("partial_json")):
            block = self._blocks[index]
            if "number" in block:
                block["written"] = True
                yield self._call(block, {"function": {"arguments": piece}})

    def _stop(self, index: int) -> Iterator[bytes]:
        block = self._blocks.pop(index, {"type": ""})
        if block["type"] in THOUGHTS:
            thought = {"thinking": block.get("thinking") or ""} if block["type"] == "thinking" else {}
            told = {name: block[name] for name in ("signature", "data") if block.get(name)}
            yield self._chunk({"thinking_blocks": [{"type": block["type"]} | thought | told]})
        elif "number" in block and not block["written"]:
            yield self._call(block, {"function": {"arguments": encode(block.get("input") or {}).decode()}})

    def _end(self, delta: dict[str, Any]) -> Iterator[bytes]:
        stopped = delta.get("stop_reason")
        if type(stopped) is not str or not stopped:
            return
        if stopped == "refusal" and (why := explanation_of(delta.get("stop_details"))):
            yield self._chunk({"refusal": why})
        yield self._chunk({}, finish_reason(stopped, calls=self._calls > 0))
        yield encode(self._head | {"choices": [], "usage": usage_in_openai(self._usage)[1]})

    def _call(self, block: dict[str, Any], call: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": block["number"]} | call]})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        return encode(self._head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    def _count(self, usage: Any) -> None:
        """As the assembler does: counts are of all so far."""
        for name, value in usage.items() if isinstance(usage, dict) else ():
            known = self._usage.get(name)
            if type(value) is int and type(known) is int:
                self._usage[name] = max(known, value)
            elif value is not None:
                self._usage[name] = value
