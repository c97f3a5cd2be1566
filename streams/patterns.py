"""Patterns of names in which `*` stands for any text. Pure."""

from __future__ import annotations


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is as the pattern says; `*` stands for any text, all else for itself.

    >>> matches("team-a-*", "team-a-7"), matches("team-a-*", "team-b-7"), matches("small", "small-2")
    (True, False, False)

    Each piece is taken where it is found first, so that the cost is bounded by len(pattern) * len(text).
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
