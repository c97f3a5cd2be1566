"""The chunks of a chat completion as the typed events of a Responses stream. Pure.

    before --chunk--> open --chunk--> open --end--> ended
       \\---------------- fail ----------------------/

Every event has its `sequence_number`, from 0 on. Items have an index of the output each, so that calls of several functions
may be open at the same time. There is exactly one terminal event: response.completed, .incomplete or .failed.
Events: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.front.anthropic.answer import REASONING_FIELDS
from streams.front.problems import Problem
from streams.front.responses.output import (
    call_item,
    item_id,
    message_item,
    reasoning_item,
    response_usage,
    sign_thoughts,
    text_part,
)

Event = dict[str, Any]

_CUT: Final = Problem(502, "server_error", "provider_error", "the answer's stream ended before the answer did")
_INCOMPLETE: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CODES: Final[Mapping[int, str]] = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
_DELTAS: Final[Mapping[str, str]] = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
}
_FIELD: Final[Mapping[str, str]] = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""Where a part of a kind has its text."""


@dataclass(slots=True)
class _Call:
    index: int
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """The item that is written: thoughts or a message, with the part that is written."""

    index: int
    type: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    kind: str | None = None
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)
    signed: str | None = None


@dataclass(slots=True)
class ResponseEvents:
    """Takes chunks one by one; gives the events that each brings. `opened`: the response without output, as it was promised."""

    opened: Mapping[str, Any]
    ended: bool = False
    """Whether the terminal event was given: nothing comes any more."""
    _sequence: int = 0
    _begun: bool = False
    _model: Any = None
    _output: list[dict[str, Any]] = field(default_factory=list)
    """Items by their index; those that are not whole yet are empty."""
    _item: _Open | None = None
    _calls: dict[int, _Call] = field(default_factory=dict)
    _finish: str | None = None
    _refused: bool = False
    _usage: Any = None

    @property
    def _id(self) -> str:
        return str(self.opened["id"])

    def take(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of one `chat.completion.chunk`."""
        if self.ended:
            return []
        if isinstance(error := chunk.get("error"), dict):
            return self.fail(Problem(502, "server_error", "provider_error", str(error.get("message") or "it failed")))
        events: list[Event] = []
        if isinstance(model := chunk.get("model"), str):
            self._model = model
        if not self._begun:
            events += self.begin()
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    events += self._delta(delta, choice.get("logprobs"))
                if isinstance(finish := choice.get("finish_reason"), str):
                    self._finish = finish
        return events

    def begin(self) -> list[Event]:
        """The events before any output: they may be sent while the request waits."""
        if self._begun or self.ended:
            return []
        self._begun = True
        response = self._response("in_progress")
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def end(self, completion: Mapping[str, Any] | None = None) -> list[Event]:
        """The events of a stream that has ended: a failure where the answer had not. The whole answer, where it is known, says
        more about its end than its chunks.
        """
        if self.ended:
            return []
        if completion is not None:
            self._usage = completion.get("usage")
        if self._finish is None:
            return self.fail(_CUT)
        reason = None if self._refused else _INCOMPLETE.get(self._finish)
        status = "completed" if reason is None else "incomplete"
        events = [*self._close(status), *self._close_calls(status)]
        response = self._response(status) | {
            "incomplete_details": None if reason is None else {"reason": reason},
            "usage": response_usage(self._usage),
        }
        self.ended = True
        return [*events, self._event(f"response.{status}", response=response)]

    def fail(self, problem: Problem) -> list[Event]:
        """The event of a stream that has no end. It tells what was whole until then."""
        if self.ended:
            return []
        self.ended = True
        error = {"code": _CODES.get(problem.status, "server_error"), "message": problem.message}
        return [self._event("response.failed", response=self._response("failed") | {"error": error})]

    def _event(self, name: str, /, **fields: Any) -> Event:
        event = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return event

    def _response(self, status: str) -> dict[str, Any]:
        whole = [item for item in self._output if item]
        return {**self.opened, "status": status, "model": self._model or self.opened.get("model"), "output": whole}

    def _delta(self, delta: Mapping[str, Any], logprobs: Any) -> Iterator[Event]:
        blocks = delta.get("thinking_blocks")
        signed = sign_thoughts(blocks) if isinstance(blocks, list) else None
        thought = next((text for name in REASONING_FIELDS if isinstance(text := delta.get(name), str) and text), "")
        if thought or signed:
            yield from self._piece("reasoning", "reasoning_text", thought)
            if self._item is not None:
                self._item.signed = signed or self._item.signed
        if isinstance(text := delta.get("content"), str) and text:
            found = logprobs.get("content") if isinstance(logprobs, dict) else None
            yield from self._piece("message", "output_text", text, found if isinstance(found, list) else [])
        if isinstance(text := delta.get("refusal"), str) and text:
            self._refused = True
            yield from self._piece("message", "refusal", text)
        calls = delta.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                yield from self._call(call, number)

    def _piece(self, item_type: str, kind: str, text: str, logprobs: list[Any] | None = None) -> Iterator[Event]:
        if self._item is None or self._item.type != item_type:
            yield from self._close("completed")
            item = self._item = _Open(self._next_index(), item_type)
            empty = (
                message_item(self._id, item.index, [], "in_progress")
                if item_type == "message"
                else reasoning_item(self._id, item.index, "")
            )
            yield self._event("response.output_item.added", output_index=item.index, item=empty)
        item = self._item
        if not text:
            return
        if item.kind != kind:
            yield from self._close_part(item)
            item.kind = kind
            yield self._of_part(item, "response.content_part.added", part=_part(kind, ""))
        item.pieces.append(text)
        item.logprobs += logprobs or []
        extra = {"logprobs": logprobs or []} if kind == "output_text" else {}
        yield self._of_part(item, f"{_DELTAS[kind]}.delta", delta=text, **extra)

    def _of_part(self, item: _Open, name: str, **fields: Any) -> Event:
        kind = "msg" if item.type == "message" else "rs"
        return self._event(
            name,
            item_id=item_id(kind, self._id, item.index),
            output_index=item.index,
            content_index=len(item.parts),
            **fields,
        )

    def _close_part(self, item: _Open) -> Iterator[Event]:
        if item.kind is None:
            return
        text, kind = "".join(item.pieces), item.kind
        extra = {"logprobs": item.logprobs} if kind == "output_text" else {}
        yield self._of_part(item, f"{_DELTAS[kind]}.done", **{_FIELD[kind]: text}, **extra)
        part = _part(kind, text, item.logprobs)
        yield self._of_part(item, "response.content_part.done", part=part)
        item.parts.append(part)
        item.kind, item.pieces, item.logprobs = None, [], []

    def _close(self, status: str) -> Iterator[Event]:
        item = self._item
        if item is None:
            return
        yield from self._close_part(item)
        if item.type == "message":
            whole = message_item(self._id, item.index, item.parts, status)
        else:
            text = "".join(part["text"] for part in item.parts)
            whole = reasoning_item(self._id, item.index, text, item.signed)
        self._item = None
        yield self._done(item.index, whole)

    def _done(self, index: int, whole: dict[str, Any]) -> Event:
        self._output[index] = whole
        return self._event("response.output_item.done", output_index=index, item=whole)

    def _next_index(self) -> int:
        self._output.append({})
        return len(self._output) - 1

    def _call(self, part: Mapping[str, Any], number: int) -> Iterator[Event]:
        given = part.get("index")
        key = given if type(given) is int else number
        function = part.get("function")
        function = function if isinstance(function, dict) else {}
        call = self._calls.get(key)
        if call is None:
            yield from self._close("completed")
            index = self._next_index()
            call_id = part.get("id") or f"call_{self._id.partition('_')[2]}{index:02d}"
            call = self._calls[key] = _Call(index, str(call_id), str(function.get("name") or ""))
            empty = call_item(self._id, index, call.id, call.name, "", "in_progress")
            yield self._event("response.output_item.added", output_index=index, item=empty)
        if isinstance(text := function.get("arguments"), str) and text:
            call.pieces.append(text)
            name = "response.function_call_arguments.delta"
            yield self._event(name, item_id=item_id("fc", self._id, call.index), output_index=call.index, delta=text)

    def _close_calls(self, status: str) -> Iterator[Event]:
        for call in self._calls.values():
            arguments = "".join(call.pieces)
            whole = call_item(self._id, call.index, call.id, call.name, arguments, status)
            name = "response.function_call_arguments.done"
            yield self._event(name, item_id=whole["id"], output_index=call.index, name=call.name, arguments=arguments)
            yield self._done(call.index, whole)


def _part(kind: str, text: str, logprobs: list[Any] | None = None) -> dict[str, Any]:
    return text_part(text, logprobs or ()) if kind == "output_text" else {"type": kind, _FIELD[kind]: text}
