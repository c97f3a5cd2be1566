"""The chunks of a chat completion as the events of a Messages stream. Pure.

    before --chunk--> open --chunk--> open --end--> ended
       \\---------------- fail ----------------------/

Blocks come one after the other: a block is closed before the next begins. Servers may send the arguments of several tools in
turns; what cannot be said yet is kept until the tool before it is whole. There is exactly one terminal event: message_stop or
error.
Events: https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.front.anthropic.answer import REASONING_FIELDS, content_blocks, message_usage, stop_of, thoughts_of
from streams.front.anthropic.errors import error_object
from streams.front.problems import Problem
from streams.providers.formats.anthropic.thinking import CONTENT_FIELD

Event = dict[str, Any]

PING: Event = {"type": "ping"}
_CUT = Problem(502, "server_error", "provider_error", "the answer's stream ended before the answer did", retryable=True)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""
    said: int = 0
    """Characters of `arguments` that were sent."""

    @property
    def whole(self) -> bool:
        try:
            orjson.loads(self.arguments)
        except ValueError:
            return False
        return True


@dataclass(slots=True)
class MessageEvents:
    """Takes chunks one by one; gives the events that each brings."""

    message_id: str
    ended: bool = False
    """Whether the terminal event was given: nothing comes any more."""
    _begun: bool = False
    _blocks: int = 0
    _open: str | None = None
    """The kind of the block that is open."""
    _calls: dict[int, _Call] = field(default_factory=dict)
    _waiting: list[int] = field(default_factory=list)
    """Calls that are not closed, in their order; the first one's block is open, once its name is known."""
    _used_tool: bool = False
    _last: Mapping[str, Any] = field(default_factory=dict)
    """The choice that told why it ended."""
    _usage: Any = None

    def take(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of one `chat.completion.chunk`."""
        if self.ended:
            return []
        if isinstance(error := chunk.get("error"), dict):
            return self.fail(Problem(502, "server_error", "provider_error", str(error.get("message") or "it failed")))
        events: list[Event] = []
        if not self._begun:
            self._begun = True
            events.append(self._start(chunk))
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    events += self._delta(delta)
                if choice.get("finish_reason") is not None:
                    self._last = choice
        return events

    def end(self, completion: Mapping[str, Any] | None = None) -> list[Event]:
        """The events of a stream that has ended: an error where the answer had not. The whole answer, where it is known, says
        more about its end than its chunks.
        """
        if self.ended:
            return []
        if completion is not None:
            self._usage = completion.get("usage")
            self._last = next(iter(completion.get("choices") or ()), self._last)
        if not self._last:
            return self.fail(_CUT)
        events = [*self._flush(), *self._close()]
        reason, sequence = stop_of(self._last, uses_tool=self._used_tool)
        usage = message_usage(self._usage)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        events.append({"type": "message_stop"})
        self.ended = True
        return events

    def fail(self, problem: Problem) -> list[Event]:
        """The event of a stream that has no end."""
        if self.ended:
            return []
        self.ended = True
        return [error_object(problem, self.message_id)]

    def _start(self, chunk: Mapping[str, Any]) -> Event:
        message: Event = {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": message_usage(chunk.get("usage")),
        }
        return {"type": "message_start", "message": message}

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        if isinstance(delta.get(CONTENT_FIELD), list):
            for block in content_blocks(delta):
                yield from self._whole(block)
            return
        if isinstance(delta.get("thinking_blocks"), list):
            for block in thoughts_of(delta):
                yield from self._whole(block)
        else:
            for name in REASONING_FIELDS:
                if isinstance(text := delta.get(name), str) and text:
                    yield from self._piece("thinking", {"type": "thinking_delta", "thinking": text})
                    break
        for name in ("content", "refusal"):
            if isinstance(text := delta.get(name), str) and text:
                yield from self._piece("text", {"type": "text_delta", "text": text})
        calls = delta.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                self._take_call(call, number)
        yield from self._say_calls()

    def _piece(self, kind: str, delta: Event) -> Iterator[Event]:
        if self._open != kind:
            yield from self._flush()
            yield from self._close()
            head = {"type": "thinking", "thinking": "", "signature": ""} if kind == "thinking" else None
            yield self._begin(kind, head or {"type": "text", "text": ""})
        yield self._say(delta)

    def _whole(self, block: dict[str, Any]) -> Iterator[Event]:
        """A block that came in one piece."""
        yield from self._flush()
        yield from self._close()
        kind = block.get("type")
        if kind == "text":
            yield self._begin("text", block | {"text": ""})
            yield self._say({"type": "text_delta", "text": block.get("text") or ""})
        elif kind == "thinking":
            yield self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._say({"type": "thinking_delta", "thinking": block.get("thinking") or ""})
            yield self._say({"type": "signature_delta", "signature": block.get("signature") or ""})
        elif kind == "tool_use":
            self._used_tool = True
            yield self._begin("tool_use", block | {"input": {}})
            arguments = orjson.dumps(block.get("input") or {}).decode()
            yield self._say({"type": "input_json_delta", "partial_json": arguments})
        else:
            yield self._begin(str(kind), block)
        yield from self._close()

    def _take_call(self, part: Mapping[str, Any], number: int) -> None:
        index = part.get("index")
        index = index if type(index) is int else number
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _Call()
            self._waiting.append(index)
        if isinstance(call_id := part.get("id"), str) and call_id:
            call.id = call_id
        function = part.get("function")
        if isinstance(function, dict):
            if isinstance(name := function.get("name"), str) and name:
                call.name = name
            if isinstance(text := function.get("arguments"), str):
                call.arguments += text

    def _say_calls(self) -> Iterator[Event]:
        """What can be said now: of the first call that is not whole, and of those before it."""
        while self._waiting:
            call = self._calls[self._waiting[0]]
            if not call.name:
                return
            yield from self._say_call(call)
            if len(self._waiting) == 1 or not call.whole:
                return
            self._waiting.pop(0)
            yield from self._close()

    def _flush(self) -> Iterator[Event]:
        """All calls that were begun are said to their end."""
        while self._waiting:
            yield from self._say_call(self._calls[self._waiting.pop(0)])
            yield from self._close()

    def _say_call(self, call: _Call) -> Iterator[Event]:
        if self._open != "tool_use":
            yield from self._close()
            self._used_tool = True
            call_id = call.id or f"toolu_{self.message_id}_{self._blocks}"
            yield self._begin("tool_use", {"type": "tool_use", "id": call_id, "name": call.name, "input": {}})
        if piece := call.arguments[call.said :]:
            call.said = len(call.arguments)
            yield self._say({"type": "input_json_delta", "partial_json": piece})

    def _begin(self, kind: str, block: dict[str, Any]) -> Event:
        self._open = kind
        return {"type": "content_block_start", "index": self._blocks, "content_block": block}

    def _say(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": self._blocks, "delta": delta}

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._blocks}
            self._blocks += 1
