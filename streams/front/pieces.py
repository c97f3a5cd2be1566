"""A whole answer cut into pieces as a stream has them: for answers that come at once, of the cache or of a call that was joined.

Texts are cut behind words, at most 4 KB each and at least in eight pieces where there are so many words, so that a reader sees a
stream and no line is large; calls of tools by length. Joined again, the pieces are what was cut. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST_BYTES: Final = 4096
_PIECES: Final = 8
_LAST: Final = ("content", "refusal")
_LEAST_CHARS: Final = 16
_WORDS: Final = re.compile(r"\S*\s*")
_MOST_CHARS: Final = MOST_BYTES // 4
"""A character has at most four bytes in UTF-8."""


def cut(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The choice of a chunk as several of them, in order.

    >>> [each["delta"]["content"] for each in cut({"index": 0, "delta": {"content": "one two three four five six"}})]
    ['one two three four ', 'five six']
    """
    delta = choice.get("delta") or {}
    texts = {name: value for name, value in delta.items() if isinstance(value, str) and name != "role"}
    calls = delta.get("tool_calls")
    if not texts and not isinstance(calls, list):
        yield dict(choice)
        return
    rest = {name: value for name, value in delta.items() if name not in texts and name != "tool_calls"}
    if rest:
        yield {**choice, "delta": rest}
    for name, text in sorted(texts.items(), key=lambda each: each[0] in _LAST):  # thoughts come before what they led to
        for piece in _pieces(text):
            yield {**choice, "delta": {name: piece}}
    for call in calls if isinstance(calls, list) else ():
        yield from ({**choice, "delta": {"tool_calls": [piece]}} for piece in _cut_call(call))


def _cut_call(call: Any) -> Iterator[Any]:
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments, str) or len(arguments) <= _LEAST_CHARS:
        yield call
        return
    yield {**call, "function": {**function, "arguments": ""}}
    for piece in _pieces(arguments):
        yield {"index": call.get("index", 0), "function": {"arguments": piece}}


def _pieces(text: str) -> Iterator[str]:
    """At least one, also of an empty text."""
    most = min(_MOST_CHARS, max(_LEAST_CHARS, -(-len(text) // _PIECES)))
    piece = ""
    for word in _WORDS.findall(text):
        if piece and len(piece) + len(word) > _MOST_CHARS:
            yield piece
            piece = ""
        while len(word) > _MOST_CHARS:
            yield word[:_MOST_CHARS]
            word = word[_MOST_CHARS:]
        piece += word
        if len(piece) >= most:
            yield piece
            piece = ""
    if piece or not text:
        yield piece
