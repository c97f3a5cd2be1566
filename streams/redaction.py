"""What nobody is to read later: patterns and JSON paths, taken out of dead letters, logs and shown payloads.

In: the settings' rules (`[redaction]`). Out: the same text or JSON value without what they mean. Pure but for `in_force`, the
rules of this process, which a reload replaces.

Everything is bounded and closed where a bound is met: what is longer than may be looked through is left out, not let through.
Patterns are checked when settings are read (streams/settings/safe_patterns.py), so that no text makes one of them slow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from schemas.json_nodes import too_many_nodes
from streams.settings.redaction import Redaction

MOST_CHARS: Final = 65_536
"""Text of one value that patterns look through; what is beyond is left out. The worst pattern takes 0.1 s for so much."""
_ANY: Final = "*"
_PIECE: Final = re.compile(r"(\.\.)?(?:([A-Za-z0-9_-]+)|(\*)|\[\*\])(?:\.(?!\.))?")

Step = tuple[bool, str]
"""Whether at any depth below; a name, or `*` for every element or field."""


class _Number(str):
    """A number as it is written, so that none is rounded."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules, ready for use. Without any, everything stays as it is."""

    patterns: tuple[re.Pattern[str], ...] = ()
    paths: tuple[tuple[Step, ...], ...] = ()
    replacement: str = "***"

    @classmethod
    def of(cls, settings: Redaction) -> Rules:
        """Those of the settings, which were checked."""
        return cls(
            tuple(re.compile(each) for each in settings.patterns),
            tuple(_steps(each) for each in settings.paths),
            settings.replacement,
        )

    def __bool__(self) -> bool:
        return bool(self.patterns or self.paths)

    def text(self, text: str) -> str:
        """A text without what the patterns mean; of a longer one than may be looked through, its beginning."""
        if not self.patterns:
            return text
        if len(text) > MOST_CHARS:
            # Cut where a match might begin: what would have gone on behind the cut must not be left in front of it.
            return self._sub(text[:MOST_CHARS])[: -_LONGEST_MATCH or None] + f"{self.replacement} (cut)"
        return self._sub(text)

    def value(self, value: bytes | None) -> tuple[bytes | None, bool]:
        """A record's value without what the rules mean, and whether anything was taken out. What cannot be read is left out."""
        if value is None or not self:
            return value, False
        if too_many_nodes(value):
            return self._unreadable(value)
        work = _Work(self)
        try:
            found = json.loads(value, parse_int=_Number, parse_float=_Number, object_pairs_hook=work.pairs)
        except (ValueError, RecursionError):
            return self._unreadable(value)
        try:
            for path in self.paths:
                found = work.take_out(found, path)
            found = work.clean(found)
            if not work.changed:
                return value, False
            return orjson.dumps(found), True
        except (TypeError, ValueError, RecursionError):  # a lone half of a surrogate pair, a tree too deep
            return orjson.dumps(self.replacement), True

    def header(self, value: bytes) -> bytes:
        """A header's value."""
        if not self.patterns:
            return value
        text = value.decode("utf-8", "surrogateescape")
        cleaned = self.text(text)
        return value if cleaned == text else cleaned.encode("utf-8", "surrogateescape")

    def _sub(self, text: str) -> str:
        for pattern in self.patterns:
            text = pattern.sub(lambda _: self.replacement, text)
        return text

    def _unreadable(self, value: bytes) -> tuple[bytes, bool]:
        if self.paths:  # where they are in it nobody knows
            return f"{self.replacement} ({len(value):,} bytes that are not read)".encode(), True
        text = value.decode("utf-8", "surrogateescape")
        cleaned = self.text(text)
        return (value, False) if cleaned == text else (cleaned.encode("utf-8", "surrogateescape"), True)


_LONGEST_MATCH: Final = 2_048


@dataclass(slots=True)
class _Work:
    """The rules at one value."""

    rules: Rules
    changed: bool = False
    looked_at: int = 0
    """Characters so far."""

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self.changed |= len(found) != len(pairs)  # of two fields of one name only one is seen here: the other must go
        return found

    def take_out(self, node: Any, path: Sequence[Step]) -> Any:
        if not path:
            self.changed = True
            return self.rules.replacement
        (deep, name), *rest = path
        if isinstance(node, dict):
            for key, inner in node.items():
                if name in (_ANY, key):
                    node[key] = inner = self.take_out(inner, rest)
                if deep:
                    node[key] = self.take_out(inner, path)
        elif isinstance(node, list):
            for at, inner in enumerate(node):
                taken = self.take_out(inner, rest) if name == _ANY else inner
                node[at] = self.take_out(taken, path) if deep else taken
        return node

    def clean(self, node: Any) -> Any:
        """By the patterns: texts, numbers and names."""
        if isinstance(node, dict):
            return {self._clean(key): self.clean(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [self.clean(inner) for inner in node]
        if isinstance(node, _Number):
            cleaned = self._clean(str(node))
            return orjson.Fragment(str(node)) if cleaned == node else cleaned
        return self._clean(node) if isinstance(node, str) else node

    def _clean(self, text: str) -> str:
        if not self.rules.patterns:
            return text
        self.looked_at += len(text)
        cleaned = self.rules.text(text) if self.looked_at <= MOST_CHARS else self.rules.replacement
        self.changed |= cleaned != text
        return cleaned


def _steps(path: str) -> tuple[Step, ...]:
    below = path.removeprefix("$")
    if not below.startswith(".."):
        below = below.removeprefix(".")
    return tuple((bool(found[1]), found[2] or _ANY) for found in _PIECE.finditer(below))


@dataclass(slots=True)
class InForce:
    """The rules of this process."""

    rules: Rules = field(default_factory=Rules)

    def take(self, settings: Redaction) -> None:
        """From now on these."""
        self.rules = Rules.of(settings)


in_force: Final = InForce()
