"""Putting the deltas of a streamed chat completion together. Pure.

Texts come in pieces and are joined; everything else is a label that may come again with every piece and is kept once.
Items of a list (tool calls, parts of the reasoning, images) continue by `index` and `id`, of which servers leave out the one or
the other, or give every item the same index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

TEXTS: Final = frozenset(
    {"content", "refusal", "reasoning", "reasoning_content", "reasoning_text", "thinking", "text", "summary"}
    | {"arguments", "input", "transcript"}
)
"""Fields that come in pieces: of messages, of parts of them, of tool calls and of audio."""

_AUDIO: Final = TEXTS | {"data"}
"""In `audio` the data comes in pieces too. An encrypted part of the reasoning has its `data` as a whole."""

_PIECES_BEFORE_JOIN: Final = 512
_MOST_ARGUMENTS_TO_PARSE: Final = 4096
_MOST_LOOKED_AT: Final = 256
"""Items of a list that one may continue: the latest."""


class Text:
    """A text that comes in pieces. Joined now and then: a piece of four letters takes sixty bytes of memory."""

    __slots__ = ("_joined", "_pieces")

    def __init__(self, piece: str) -> None:
        self._joined: list[str] = []
        self._pieces = [piece]

    def add(self, piece: str) -> None:
        pieces = self._pieces
        pieces.append(piece)
        if len(pieces) >= _PIECES_BEFORE_JOIN:
            self._joined.append("".join(pieces))
            pieces.clear()

    def __str__(self) -> str:
        if self._joined or len(self._pieces) > 1:
            self._pieces = ["".join((*self._joined, *self._pieces))]
            self._joined.clear()
        return self._pieces[0]


def merge(into: dict[str, Any], delta: Mapping[str, Any], texts: frozenset[str] = TEXTS) -> None:
    """Take what a delta brings. A null says nothing but that the field exists."""
    for name, value in delta.items():
        if value is None:
            into.setdefault(name, None)
        elif type(value) is str:
            _merge_text(into, name, value, name in texts)
        elif type(value) is dict:
            known = into.get(name)
            if type(known) is not dict:
                known = into[name] = {}
            merge(known, value, _AUDIO if name == "audio" else texts)
        elif type(value) is list:
            _merge_list(into, name, value, texts)
        else:
            into[name] = value


def whole(given: Any) -> Any:
    """The same without pieces, in place."""
    if type(given) is Text:
        return str(given)
    if type(given) is dict:
        for name, value in given.items():
            if type(value) in (Text, dict, list):
                given[name] = whole(value)
    elif type(given) is list:
        for place, value in enumerate(given):
            if type(value) in (Text, dict, list):
                given[place] = whole(value)
    return given


def _merge_text(into: dict[str, Any], name: str, value: str, is_text: bool) -> None:
    known = into.get(name)
    if is_text:
        if type(known) is Text:
            known.add(value)
        elif type(known) is list:
            _merge_item(known, {"type": "text", "text": value}, set(), 1, TEXTS)
        else:
            into[name] = Text(value)
    elif value or known is None:
        into[name] = value


def _merge_list(into: dict[str, Any], name: str, items: list[Any], texts: frozenset[str]) -> None:
    known = into.get(name)
    if type(known) is not list:
        began = str(known) if type(known) is Text else ""
        known = into[name] = [{"type": "text", "text": Text(began)}] if began else []
    touched: set[int] = set()
    for item in items:
        if type(item) is dict:
            _merge_item(known, item, touched, len(items), texts)
        else:
            known.append(item)


def _merge_item(known: list[Any], item: Mapping[str, Any], touched: set[int], many: int, texts: frozenset[str]) -> None:
    """`touched`: places of the items that this delta has brought already, of the `many` that it brings."""
    place = _place(known, item, touched, many)
    if place is None:
        place = len(known)
        known.append({})
    touched.add(place)
    merge(known[place], item, texts)


def _place(known: list[Any], item: Mapping[str, Any], touched: set[int], many: int) -> int | None:
    """Which item this one continues; None: it is a new one."""
    index, own_id = _index(item.get("index")), item.get("id") or None
    recent = range(len(known) - 1, max(-1, len(known) - 1 - _MOST_LOOKED_AT), -1)
    if own_id is not None:
        for place in recent:
            if type(known[place]) is dict and known[place].get("id") == own_id:
                return place
    if index is not None:
        for place in recent:
            if type(known[place]) is dict and _index(known[place].get("index")) == index:
                return None if _begins(known[place], item) else place
        return None
    if own_id is not None or not known or type(known[-1]) is not dict:
        return None
    if "function" in item or "custom" in item:
        return _place_of_call(known, item, touched, many)
    same_kind = "type" in item and item["type"] == known[-1].get("type")
    return len(known) - 1 if same_kind and _index(known[-1].get("index")) is None and _is_text(item) else None


def _place_of_call(known: list[Any], item: Mapping[str, Any], touched: set[int], many: int) -> int | None:
    """A tool call with neither index nor id goes on with the last one, or, of several that come side by side
    (CLIProxyAPI#5058), with the one at its place; a name may say that it is a new one.
    """
    place = max(touched) + 1 if touched else len(known) - 1 if _name(item) else max(0, len(known) - many)
    if place >= len(known) or type(known[place]) is not dict or _begins(known[place], item):
        return None
    return place


def _begins(known: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether an item begins anew under an index that is known: another id (Gemini), another name or kind, or the name once
    more after arguments that are complete (Ollama).
    """
    for name in ("id", "type"):
        if (before := known.get(name)) and (now := item.get(name)) and before != now:
            return True
    before, now = _name(known), _name(item)
    if not before or not now:
        return False
    return before != now or (not (known.get("id") and item.get("id")) and _complete(known, item))


def _complete(known: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether the known call has all its arguments and the other one brings its own."""
    more, before = _function(item).get("arguments"), _function(known).get("arguments")
    if type(more) is not str or not more.lstrip().startswith("{") or type(before) is not Text:
        return False
    text = str(before)
    if not text.endswith("}") or len(text) > _MOST_ARGUMENTS_TO_PARSE:
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_text(item: Mapping[str, Any]) -> bool:
    """Whether it is a part that comes in pieces: Mistral's texts and thoughts have no index."""
    return "text" in item or "thinking" in item


def _function(item: Mapping[str, Any]) -> Mapping[str, Any]:
    function = item.get("function")
    return function if type(function) is dict else {}


def _name(item: Mapping[str, Any]) -> Any:
    return _function(item).get("name")


def _index(given: Any) -> int | None:
    if type(given) is str and given.isascii() and given.isdigit() and len(given) < 10:
        return int(given)
    return given if type(given) is int else None
