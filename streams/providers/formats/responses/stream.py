"""A stream of the Responses API as chunks of a chat completion, and put together. Pure.

Events: https://platform.openai.com/docs/api-reference/responses-streaming. Those that we do not know are passed over. A stream
that is read on behind an event begins anywhere, even with the last event (openai/openai-ruby#548), and most events do not say
whose they are (dotnet/extensions#6854): what the chunks bear is then told by whoever began it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import read_error_value
from streams.providers.formats.json_body import encode
from streams.providers.formats.openai.answer import answer_of
from streams.providers.formats.openai.stream import OpenaiAssembler
from streams.providers.formats.responses.answer import completion_of, failure_in, finish_reason, head_of, usage_of
from streams.providers.formats.wire import Answer, Asked, Failure, broken

_LAST: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"}
)
_TEXTS: Final[Mapping[str, str]] = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning_content",
    "response.reasoning_text.delta": "reasoning_content",
}
_NO_EVENT: Final = (ValueError, KeyError, TypeError, AttributeError)


@dataclass(slots=True)
class ResponsesChunker:
    """Each event brings one chunk at most."""

    head: dict[str, Any] = field(default_factory=dict)
    upstream_id: str | None = None
    reached: int | None = None
    failed: bool = False
    _calls: dict[Any, int] = field(default_factory=dict)
    _begun: bool = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = data.strip()
        if not data or data == b"[DONE]":
            return
        event: dict[str, Any] = orjson.loads(data)
        delta = self._delta(event)
        if type(number := event.get("sequence_number")) is int:
            self.reached = number
        if delta is not None:
            yield self._chunk(*delta)

    def _delta(self, event: Mapping[str, Any]) -> tuple[dict[str, Any], str | None] | None:
        kind = event["type"]
        if (name := _TEXTS.get(kind)) is not None:
            return ({name: event["delta"]}, None) if event["delta"] else None
        if kind == "response.function_call_arguments.delta":
            call = {"index": self._calls[event.get("output_index")], "function": {"arguments": event["delta"]}}
            return {"tool_calls": [call]}, None
        if kind == "response.output_item.added" and event["item"].get("type") == "function_call":
            return self._call(event), None
        if kind in ("response.created", "response.in_progress", "response.queued") and not self._begun:
            return self._open(event["response"])
        if kind in _LAST:
            response = event.get("response") or {}
            self.failed = kind not in ("response.completed", "response.incomplete")
            return None if self.failed else ({}, finish_reason(response, calls=bool(self._calls)))
        return None

    def _open(self, response: Mapping[str, Any]) -> tuple[dict[str, Any], None]:
        self._begun = True
        self.head = self.head or head_of(response)
        if response.get("background"):
            self.upstream_id = str(response["id"])
        return {"role": "assistant", "content": ""}, None

    def _call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        item, index = event["item"], len(self._calls)
        self._calls[event.get("output_index")] = index
        function = {"name": item["name"], "arguments": ""}
        named = {"index": index, "id": item.get("call_id") or item.get("id"), "type": "function"}
        return {"tool_calls": [named | {"function": function}]}

    def _chunk(self, delta: dict[str, Any], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return orjson.dumps({**self.head, "object": "chat.completion.chunk", "choices": [choice]})


class ResponsesAssembler:
    """The last event has the whole answer; where it has not, what came before is put together.

    `told`: chunks of an earlier attempt that the stream goes on behind.
    """

    is_chunk = False

    def __init__(self, asked: Asked, told: Sequence[bytes] = ()) -> None:
        self._asked = asked
        self._chunker = ResponsesChunker()
        self._inner = OpenaiAssembler(asked)
        for chunk in told:
            self._inner.feed(chunk)
        self._last: dict[str, Any] | None = None
        self._failure: Failure | None = None

    @property
    def size_bytes(self) -> int:
        return self._inner.size_bytes

    @property
    def ended(self) -> bool:
        return self._last is not None or self._failure is not None

    def feed(self, data: bytes) -> bool:
        if self.ended:
            return False
        try:
            chunks = list(self._chunker.feed(data))
            event = orjson.loads(data) if b"response." in data or b'"error"' in data else {}
        except _NO_EVENT:
            self._failure = broken("the provider's stream holds something that is no event")
            return False
        kind = event.get("type") if type(event) is dict else None
        if kind in _LAST:
            self._end(event)
        brought = False
        for chunk in chunks:
            brought = self._inner.feed(chunk) or brought
        return brought

    def _end(self, event: Mapping[str, Any]) -> None:
        response = event.get("response")
        if type(response) is not dict:
            error = event.get("error") or {name: event.get(name) for name in ("code", "message", "param")}
            self._failure = failure_of(200, read_error_value(error), {})
            return
        self._failure = failure_in(response, {})
        self._last = response

    def finish(self) -> Answer | Failure:
        if self._failure is not None:
            return self._failure
        if self._last is None:
            return broken("the provider's stream ended before its answer did")
        whole = completion_of(self._last)
        if whole is not None:
            return answer_of(self._asked, 200, whole, encode(whole), {})
        usage = usage_of(self._last)
        if usage:
            self._inner.feed(orjson.dumps({"choices": [], "usage": usage}))
        return self._inner.finish()
