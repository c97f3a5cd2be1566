"""A streamed message of the Anthropic format, put together as it would have come whole. Pure.

Events: https://docs.claude.com/en/docs/build-with-claude/streaming. Events and deltas of unknown types are passed over, as that
page asks for, and null says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import said_of
from streams.providers.formats.json_body import parse_body, parse_leniently
from streams.providers.formats.openai.answer import says_nothing
from streams.providers.formats.wire import Answer, Failure, broken, unusable

_PIECES: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_BLOCK_OF: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
"""What begins where a delta comes for a block that was not announced; a tool's name could not be guessed."""

_NO_EVENT: Final = (ValueError, AttributeError, KeyError, TypeError, RecursionError)
_BROKEN: Final = broken("the provider's stream holds something that is no event")
_CUT: Final = frozenset({"max_tokens", "model_context_window_exceeded"})


@dataclass(slots=True)
class _Block:
    """A block as it was announced, and the pieces of its text, its thought or its tool's input that have come since."""

    head: dict[str, Any]
    pieces: list[str] = field(default_factory=list)

    def whole(self, *, cut: bool) -> dict[str, Any]:
        """Raises ValueError for a tool's input that is no JSON, but where the whole answer was cut off."""
        head, text = self.head, "".join(self.pieces)
        if head["type"] in ("text", "thinking"):
            name: str = head["type"]
            return head | {name: (head.get(name) or "") + text}
        if not text:
            return head
        try:
            return head | {"input": parse_body(text.encode(errors="replace"))[0]}
        except ValueError:
            if not cut:
                raise
            return head | {"input": text}


class AnthropicAssembler:
    """`translate` makes the answer of the whole message."""

    is_chunk = False

    def __init__(self, translate: Callable[[dict[str, Any]], Answer | Failure]) -> None:
        self.size_bytes = 0
        self._translate = translate
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: list[_Block] = []
        self._open: dict[int, _Block] = {}
        """The last block of each index: another one under the same index is a new one."""
        self._ended = False
        self._failure: Failure | None = None

    @property
    def ended(self) -> bool:
        return self._ended or self._failure is not None

    def feed(self, data: bytes) -> bool:
        if self._ended or self._failure is not None:
            return False
        try:
            return self._event(orjson.loads(data))
        except orjson.JSONDecodeError:
            return self._feed_odd(data.strip())
        except _NO_EVENT:
            return self._fail(_BROKEN)

    def _feed_odd(self, data: bytes) -> bool:
        """Data that is no strict JSON: nothing, a comment, OpenAI's last event, or half an emoji."""
        if not data or data.startswith(b":") or data == b"[DONE]":
            return False
        try:
            return self._event(parse_leniently(data))
        except _NO_EVENT:
            return self._fail(_BROKEN)

    def _fail(self, failure: Failure) -> bool:
        self._failure = failure
        return False

    def _event(self, event: dict[str, Any]) -> bool:
        if event.get("type") == "error" or not says_nothing(event.get("error")):
            failure = failure_of(200, said_of(event), {})
            return self._fail(failure if self._blocks else replace(failure, charged=False))  # before its first word
        match event.get("type"):
            case "content_block_delta":
                return event.get("delta") is not None and self._delta(event["index"], event["delta"])
            case "message_start":
                self._message = {name: value for name, value in event["message"].items() if value is not None}
                self._count(self._message.get("usage"))
            case "content_block_start":
                block = event["content_block"]
                self._begin(event["index"], {name: value for name, value in block.items() if value is not None})
            case "message_delta":
                self._message |= {
                    name: value for name, value in (event.get("delta") or {}).items() if value is not None
                }
                self._count(event.get("usage"))
            case "message_stop":
                self._ended = True
        return False

    def _begin(self, index: int, head: dict[str, Any]) -> _Block:
        if not isinstance(head["type"], str):
            raise TypeError
        block = self._open[index] = _Block(head)
        self._blocks.append(block)
        self.size_bytes += sum(len(value) for value in head.values() if isinstance(value, str))
        return block

    def _delta(self, index: int, delta: dict[str, Any]) -> bool:
        kind = delta["type"]
        block = self._open.get(index)
        if block is None:
            if kind not in _BLOCK_OF:
                if kind == "input_json_delta":
                    raise KeyError(index)
                return False
            block = self._begin(index, {"type": _BLOCK_OF[kind]})
        if kind == "signature_delta":
            if delta.get("signature"):
                block.head["signature"] = delta["signature"]
        elif kind == "citations_delta":
            if delta.get("citation") is not None:
                block.head["citations"] = [*(block.head.get("citations") or ()), delta["citation"]]
        elif kind in _PIECES and (piece := delta.get(_PIECES[kind])) is not None:
            if not isinstance(piece, str):
                raise TypeError
            block.pieces.append(piece)
            self.size_bytes += len(piece)
            return bool(piece)
        return False

    def _count(self, usage: Any) -> None:
        """Counts are of all so far: the greatest is the last one, also where an event says 0 of what it does not know."""
        for name, value in usage.items() if isinstance(usage, dict) else ():
            known = self._usage.get(name)
            if type(value) is int and type(known) is int:
                self._usage[name] = max(known, value)
            elif value is not None:
                self._usage[name] = value

    def finish(self) -> Answer | Failure:
        if self._failure is not None:
            return self._failure
        stopped = self._message.get("stop_reason")
        if not self._ended or stopped is None:
            return broken("the provider's stream ended before its answer did")
        try:
            content = [block.whole(cut=stopped in _CUT) for block in self._blocks]
        except (ValueError, TypeError):
            return unusable("the provider's stream holds a tool's input that is no JSON")
        return self._translate(self._message | {"content": content, "usage": self._usage})
