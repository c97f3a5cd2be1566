"""A streamed chat completion, put together as it would have come whole. Pure.

Chunks: https://platform.openai.com/docs/api-reference/chat-streaming. Fields that we do not know survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import said_of
from streams.providers.formats.json_body import encode, parse_body, parse_leniently
from streams.providers.formats.openai.answer import answer_of, choice_failure, says_nothing
from streams.providers.formats.openai.merge import Text, merge, whole
from streams.providers.formats.wire import Answer, Asked, Failure, broken

_DONE: Final = b"[DONE]"
_OF_STREAMS: Final = ("choices", "object", "obfuscation")
"""Fields of chunks that a whole answer has otherwise, or not at all."""
_OF_CHOICES: Final = ("index", "delta")
_OPEN, _CLOSE = b"{}"
_ENDS: Final = ("finish_reason", "error")
_NO_CHUNK: Final = (ValueError, AttributeError, TypeError, RecursionError)
_BROKEN: Final = broken("the provider's stream holds something that is no chunk")


class OpenaiAssembler:
    """`headers` are those of the stream: an error in it may be one to wait for."""

    def __init__(self, asked: Asked, headers: Mapping[str, str] | None = None) -> None:
        self.size_bytes = 0
        self.is_chunk = False
        self._asked = asked
        self._headers = headers or {}
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._brought = False
        self._has_choices = False
        """Whether the last chunk has a list of them."""
        self._done = False
        self._failure: Failure | None = None

    @property
    def ended(self) -> bool:
        return self._done or self._failure is not None

    def feed(self, data: bytes) -> bool:
        self.is_chunk = False
        if self._done or self._failure is not None:
            return False
        before = self.size_bytes
        try:
            brought = self._take(orjson.loads(data))
            self.is_chunk = self._failure is None and self._has_choices and _is_one_line(data)
        except orjson.JSONDecodeError:
            return self._feed_odd(data)
        except _NO_CHUNK:
            return self._fail(_BROKEN)
        if not brought:
            if self.size_bytes == before:
                self.size_bytes += len(data)
            return False
        self._brought = True
        return True

    def _feed_odd(self, data: bytes) -> bool:
        """Data that is no strict JSON: the end, nothing, a comment that a proxy made an event of (llm-gateway#2053), or JSON
        with lone surrogates.
        """
        text = data.strip()
        self._done = self._done or text == _DONE
        if not text or self._done or text.startswith(b":"):
            return False
        try:
            brought = self._take(parse_leniently(text))
        except _NO_CHUNK:
            return self._fail(_BROKEN)
        self._brought = self._brought or brought
        return brought

    def _take(self, chunk: dict[str, Any] | None) -> bool:
        if chunk is None:
            return False
        if (error := chunk.get("error")) is not None and not says_nothing(error):
            return self._fail(failure_of(200, said_of(chunk), self._headers))
        choices = chunk.get("choices")
        self._has_choices = type(choices) is list
        if not choices and _is_error(chunk):
            return self._fail(failure_of(200, said_of(chunk), self._headers))
        head = self._head
        for name, value in chunk.items():
            if value is not None and name not in _OF_STREAMS and (value or name != "usage"):
                head[name] = value
        brought = False
        for place, choice in enumerate(choices or ()):
            if self._take_choice(place, choice):
                brought = True
        return brought

    def _take_choice(self, place: int, choice: dict[str, Any]) -> bool:
        index = choice.get("index")
        if type(index) is not int:
            index = int(index) if type(index) is str else place
        known = self._choices.get(index)
        if known is None:
            known = self._choices[index] = {"index": index, "message": {}}
        brought, delta = False, choice.get("delta")
        if delta:
            brought = self._take_delta(known["message"], delta)
        for name, value in choice.items():
            if value is None or name in _OF_CHOICES or value == "":
                continue
            if name == "message":
                if delta is None and not known["message"]:  # a whole answer as an event
                    brought = self._take_delta(known["message"], value)
            elif name == "text":
                brought = self._take_delta(known, {"text": value})
            else:
                merge(known, {name: value}, frozenset())
                if name in _ENDS and (failure := choice_failure(200, choice, self._headers)) is not None:
                    self._failure = failure
        return brought

    def _take_delta(self, message: dict[str, Any], delta: dict[str, Any]) -> bool:
        brought = False
        for name, value in delta.items():
            if type(value) is str and type(text := message.get(name)) is Text:
                text.add(value)
            else:
                merge(message, {name: value})
            if value and name != "role":
                brought = True
                self.size_bytes += _size(value)
        return brought

    def _fail(self, failure: Failure) -> bool:
        self._failure = failure
        return False

    def finish(self) -> Answer | Failure:
        if self._failure is not None:
            refused = not self._brought and self._failure is not _BROKEN  # before its first word: nothing to pay for
            return replace(self._failure, charged=False) if refused else self._failure
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not choices or not all(choice.get("finish_reason") for choice in choices):
            return broken("the provider's stream ended before its answer did")
        for choice in choices:
            _finish_message(whole(choice)["message"])
        chat = self._head | {"object": "chat.completion", "choices": choices}
        if not chat.get("usage") and (usage := _usage_elsewhere(chat)) is not None:
            chat["usage"] = usage
        try:
            chat, body = parse_body(encode(chat))
        except ValueError:
            return broken("the provider's stream holds something that is no answer")
        return answer_of(self._asked, 200, chat, body, self._headers)


def _is_one_line(data: bytes) -> bool:
    """Of an object, whether nothing is around it and no line feed in it; carriage returns are line feeds by now."""
    return data[0] == _OPEN and data[-1] == _CLOSE and b"\n" not in data


def _is_error(chunk: Mapping[str, Any]) -> bool:
    """An error in other words than `error`. A chunk without choices may as well be a ping, a filter's result, or the usage."""
    if chunk.get("usage"):
        return False
    said = said_of(chunk)
    return bool(said.message) and (said.status is not None or bool(said.codes))


def _finish_message(message: dict[str, Any]) -> None:
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    if type(calls := message.get("tool_calls")) is list and all(type(call) is dict for call in calls):
        if all(type(call.get("index")) is int for call in calls):
            calls.sort(key=lambda call: call["index"])
        for call in calls:
            call.pop("index", None)


def _usage_elsewhere(answer: Mapping[str, Any]) -> Any:
    """Moonshot states it in the choice, Groq in a field of its own."""
    own = answer.get("x_groq")
    stated = own.get("usage") if type(own) is dict else None
    return stated or next((choice["usage"] for choice in answer["choices"] if choice.get("usage")), None)


def _size(value: Any) -> int:
    """About what it takes to keep it."""
    if type(value) is str:
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    if type(value) is dict:
        return 16 + sum(len(name) + _size(each) for name, each in value.items())
    return 8 + sum(_size(each) for each in value) if type(value) is list else 8
