"""What requests and answers say: numbers exactly as they travel, what people wrote left out unless it is asked for. Pure.

Redacted, a string stands only under a name that says nothing of anybody (a model, a role, why an answer ended); of others their
length is told. Which names those are is a list of what may be shown, so that a field that nobody has thought of stays hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from schemas.json_nodes import too_many_nodes
from streams.redaction import in_force

MOST_CHARS: Final = 64_000
_MOST_SHOWN_NAME: Final = 100

_SHOWN: Final = frozenset(
    {
        "cache",
        "completed_at",
        "created_at",
        "deadline",
        "encoding_format",
        "finish_reason",
        "mode",
        "model",
        "object",
        "operation",
        "provider",
        "reasoning_effort",
        "role",
        "service_tier",
        "status",
        "stop_reason",
        "system_fingerprint",
        "tool_choice",
        "type",
    }
)
_SECRET: Final = re.compile(r"auth|token|key|secret|cookie|password|credential", re.IGNORECASE).search


class _Number(str):
    """A number as it is written: 64 bits and more, and every digit of a decimal."""

    __slots__ = ()


def shown_value(value: bytes | None, *, redacted: bool) -> str:
    """A record's value on as many lines as it needs, at most 64,000 characters of it."""
    if value is None:
        return "(no value)"
    value = in_force.rules.value(value)[0] or b""
    try:
        if too_many_nodes(value):
            raise ValueError
        found = json.loads(value, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        text = "".join(_bounded(_lines(found, "", redacted, 0)))
    except (ValueError, RecursionError):
        text = _hidden(len(value), "bytes") if redacted else value[: 4 * MOST_CHARS].decode("utf-8", "replace")
    return text if len(text) <= MOST_CHARS else text[:MOST_CHARS] + f"\n… {len(text) - MOST_CHARS:,} characters more"


def shown_headers(headers: Sequence[tuple[str, bytes | None]], *, redacted: bool) -> list[tuple[str, str]]:
    """Headers as text, at most 200 of them; what may be a secret never."""
    shown = []
    for name, raw in headers[:200]:
        text = in_force.rules.text((raw or b"")[:2000].decode("utf-8", "replace"))
        hide = _SECRET(name) is not None or (redacted and name == "dlq_error_message")
        shown.append((name[:200], _hidden(len(raw or b""), "bytes") if hide else text))
    return shown


def _lines(node: Any, name: str, redacted: bool, depth: int) -> Iterator[str]:
    indent = "  " * min(depth, 40)
    if isinstance(node, _Number):
        yield node
    elif isinstance(node, str):
        is_shown = not redacted or (name in _SHOWN and len(node) <= _MOST_SHOWN_NAME)
        yield json.dumps(node, ensure_ascii=False) if is_shown else _hidden(len(node), "characters")
    elif isinstance(node, dict) and node:
        yield "{\n"
        for number, (key, value) in enumerate(node.items()):
            # Names inside of arguments may be anybody's words, but without names nothing can be read.
            yield f"{indent}  {json.dumps(key[:_MOST_SHOWN_NAME], ensure_ascii=False)}: "
            yield from _lines(value, key, redacted, depth + 1)
            yield ",\n" if number < len(node) - 1 else "\n"
        yield f"{indent}}}"
    elif isinstance(node, list) and node:
        yield "[\n"
        for number, value in enumerate(node):
            yield f"{indent}  "
            yield from _lines(value, name, redacted, depth + 1)
            yield ",\n" if number < len(node) - 1 else "\n"
        yield f"{indent}]"
    else:
        yield json.dumps(node)


def _bounded(parts: Iterator[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        yield part
        length += len(part)
        if length > 2 * MOST_CHARS:
            return


def _hidden(length: int, what: str) -> str:
    return f"‹{length:,} {what}›"
