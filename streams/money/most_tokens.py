"""The most tokens that a call may take. Pure.

A tokenizer of bytes never makes more tokens than a text has bytes, so that the bytes of everything that is sent bound its input,
besides what the provider adds around messages and tools. Images and sounds are not bounded by what is sent of them: each counts
as the most that a provider documents for one of its largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from schemas.request import Operation

_A_CALL: Final = 64
_A_MESSAGE: Final = 16
"""Names of roles and separators."""
_WITH_TOOLS: Final = 1024
"""The prompt that a provider puts before tools: Anthropic names 159 to 804 tokens, by model and tool_choice."""
_A_MEDIUM: Final = 32_768
"""OpenAI's dearest detail of the largest image takes about 30,000 (gpt-4o-mini), others less."""
_BESIDE_TEXT: Final = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio", "file", "document", "video_url"}
)
_CHOICES: Final = 1024
_BOUNDS: Final = ("max_completion_tokens", "max_tokens")


def most_input(operation: Operation, payload: Mapping[str, Any]) -> int:
    """Tokens of the prompt, at most."""
    if operation == "embeddings":
        return _A_CALL + len(_encoded(payload.get("input")))
    messages = payload.get("messages")
    total = _A_CALL
    for message in messages if isinstance(messages, list) else ():
        total += _A_MESSAGE + _message(message)
    for name, value in payload.items():
        if name not in ("messages", "model") and isinstance(value, dict | list | str):
            total += len(_encoded(value))
            total += _WITH_TOOLS if name in ("tools", "functions") else 0
    return total


def most_output(operation: Operation, payload: Mapping[str, Any], largest: int) -> int:
    """Tokens of the answers, at most; `largest` for one whose request has no bound."""
    if operation == "embeddings":
        return 0
    bounds = [_count(payload.get(name)) for name in _BOUNDS]
    choices = _count(payload.get("n"))
    return max((bound for bound in bounds if bound is not None), default=largest) * min(max(1, choices or 1), _CHOICES)


def _message(message: Any) -> int:
    if type(message) is not dict or type(parts := message.get("content")) is not list:
        return len(_encoded(message))
    rest = {name: value for name, value in message.items() if name != "content"}
    return len(_encoded(rest)) + sum(_part(part) for part in parts)


def _part(part: Any) -> int:
    beside = type(part) is dict and part.get("type") in _BESIDE_TEXT
    return _A_MEDIUM if beside else len(_encoded(part))


def _encoded(value: Any) -> bytes:
    return value.encode(errors="replace") if type(value) is str else orjson.dumps(value)


def _count(given: Any) -> int | None:
    return given if type(given) is int and given >= 0 else None
