"""A streamed message of the Anthropic format, put together as it would have come whole. Pure.

Events: https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from schemas.errors import clip
from streams.providers.wire import Answer, Failure, broken

_PIECES: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class AnthropicAssembler:
    """`translate` makes the answer of the whole message."""

    def __init__(self, translate: Callable[[dict[str, Any]], Answer | Failure]) -> None:
        self.size_bytes = 0
        self._translate = translate
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._ended = False
        self._failure: Failure | None = None

    @property
    def ended(self) -> bool:
        return self._ended or self._failure is not None

    def feed(self, data: bytes) -> bool:
        try:
            return self._event(orjson.loads(data))
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            self._failure = self._failure or broken("the provider's stream holds something that is no event")
            return False

    def _event(self, event: dict[str, Any]) -> bool:
        match event["type"]:
            case "content_block_delta":
                delta = event["delta"]
                name = _PIECES.get(delta["type"])
                if name is None:  # a signature, a citation: nothing that an answer here would hold
                    return False
                piece: str = delta[name]
                self._pieces[event["index"]].append(piece)
                self.size_bytes += len(piece)
                return bool(piece)
            case "message_start":
                self._message = dict(event["message"])
            case "content_block_start":
                self._blocks[event["index"]] = dict(event["content_block"])
                self._pieces[event["index"]] = []
            case "message_delta":
                self._message |= {name: value for name, value in event["delta"].items() if value is not None}
                self._message["usage"] = (self._message.get("usage") or {}) | (event.get("usage") or {})
            case "message_stop":
                self._ended = True
            case "error":
                said = event["error"].get("message") or "no reason given"
                self._failure = broken(clip(f"the provider's stream broke: {said}"))
        return False

    def finish(self) -> Answer | Failure:
        if self._failure is not None:
            return self._failure
        if not self._ended:
            return broken("the provider's stream ended before its answer did")
        try:
            content = [self._whole(index) for index in sorted(self._blocks)]
        except (orjson.JSONDecodeError, TypeError):
            return broken("the provider's stream holds a tool's input that is no JSON")
        return self._translate(self._message | {"content": content})

    def _whole(self, index: int) -> dict[str, Any]:
        block, text = self._blocks[index], "".join(self._pieces[index])
        if block["type"] == "tool_use":
            return block | {"input": orjson.loads(text)} if text else block
        name = "thinking" if block["type"] == "thinking" else "text"
        return block | {name: block.get(name, "") + text}
