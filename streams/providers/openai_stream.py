"""A streamed chat completion, put together as it would have come whole. Pure.

Chunks: https://platform.openai.com/docs/api-reference/chat-streaming. A delta's strings continue what came before, objects
and lists with an `index` are merged, and anything else is taken as it is; so fields that we do not know survive.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from schemas.errors import clip
from streams.providers.wire import Answer, Failure, broken, usage_of

_DONE: Final = b"[DONE]"
_ONCE: Final = frozenset({"role", "id", "type", "name"})
"""Strings that come whole, perhaps again in every chunk."""


class OpenaiAssembler:
    def __init__(self) -> None:
        self.size_bytes = 0
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, list[str]] = {}
        """The pieces of each choice's content: joined once, at the end."""
        self._ended = False
        self._failure: Failure | None = None

    def feed(self, data: bytes) -> bool:
        if data == _DONE:
            self._ended = True
            return False
        try:
            chunk = orjson.loads(data)
            choices = chunk.get("choices") or ()
            if "error" in chunk:
                error = chunk["error"]
                said = error.get("message") if isinstance(error, dict) else error
                self._failure = broken(clip(f"the provider's stream broke: {said or 'no reason given'}"))
            brought = False
            for choice in choices:
                brought = self._choice(choice) or brought
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            self._failure = self._failure or broken("the provider's stream holds something that is no chunk")
            return False
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._head[name] = value
        self.size_bytes += len(data) if not brought else 0
        return brought

    def _choice(self, choice: dict[str, Any]) -> bool:
        known = self._choices.setdefault(choice["index"], {"index": choice["index"], "message": {}})
        for name, value in choice.items():
            if name not in ("index", "delta") and value is not None:
                _merge(known, name, value)
        brought = False
        for name, value in (choice.get("delta") or {}).items():
            if value is None:
                known["message"].setdefault(name, None)
                continue
            if name == "content" and isinstance(value, str):
                self._texts.setdefault(choice["index"], []).append(value)
            else:
                _merge(known["message"], name, value)
            if name not in _ONCE and value != "":
                brought = True
                self.size_bytes += len(value) if isinstance(value, str) else 64
        return brought

    def finish(self) -> Answer | Failure:
        if self._failure is not None:
            return self._failure
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not choices or not (self._ended or all(choice.get("finish_reason") for choice in choices)):
            return broken("the provider's stream ended before its answer did")
        for choice in choices:
            pieces = self._texts.get(choice["index"])
            choice["message"].setdefault("role", "assistant")
            choice["message"]["content"] = "".join(pieces) if pieces is not None else None
            for call in choice["message"].get("tool_calls") or ():
                call.pop("index", None)
            choice.setdefault("finish_reason", None)
        whole = self._head | {"object": "chat.completion", "choices": choices}
        return Answer(orjson.dumps(whole), usage_of(whole.get("usage")))


def _merge(into: dict[str, Any], name: str, value: Any) -> None:
    known = into.get(name)
    if isinstance(value, str) and isinstance(known, str) and name not in _ONCE and name != "finish_reason":
        into[name] = known + value
    elif isinstance(value, dict) and isinstance(known, dict):
        for key, inner in value.items():
            if inner is not None:
                _merge(known, key, inner)
    elif isinstance(value, list) and isinstance(into.setdefault(name, []), list):
        for item in value:
            _merge_item(into[name], item)
    else:
        into[name] = value


def _merge_item(items: list[Any], item: Any) -> None:
    """An item with an `index` continues the one with the same; another one is new."""
    if isinstance(item, dict) and "index" in item:
        for known in items:
            if isinstance(known, dict) and known.get("index") == item["index"]:
                for key, inner in item.items():
                    if inner is not None:
                        _merge(known, key, inner)
                return
    items.append(item)
