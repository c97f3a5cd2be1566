"""Words of the contract as numbers of a row. New words are added at the end: numbers of rows on disk stay as they are."""

from __future__ import annotations

from typing import Final

OTHER: Final = 255
"""A word that this version does not know."""

WAITING, OK, ERROR, EXPIRED, REJECTED, DEAD = range(6)
STATUSES: Final = ("waiting", "ok", "error", "expired", "rejected", "dead")
"""`waiting`: no answer was read yet. `dead`: it ended in a dead letter and nothing else. The others are the answer's."""

ERRORS: Final = (
    "",
    "invalid_request",
    "invalid_reply_to",
    "too_large",
    "exceeds_limit",
    "queue_full",
    "deadline",
    "provider_error",
    "provider_timeout",
    "provider_unavailable",
    "answer_too_large",
    "internal",
    "cancelled",
    "budget_exceeded",
)
REASONS: Final = ("", "poison", "exhausted", "too_large", "undeliverable")
"""Of dead letters."""
CACHES: Final = ("", "none", "memory", "disk", "joined")
STAGES: Final = ("", "intake", "cache", "flow", "providers", "delivery")

_NUMBERS: Final[dict[tuple[str, ...], dict[str, int]]] = {
    words: {word: number for number, word in enumerate(words)} for words in (STATUSES, ERRORS, REASONS, CACHES, STAGES)
}


def number_of(words: tuple[str, ...], word: str) -> int:
    """The number of a word; OTHER for one that is not known.

    >>> number_of(STATUSES, "ok"), number_of(STATUSES, "new"), word_of(STATUSES, 1), word_of(STATUSES, 255)
    (1, 255, 'ok', 'other')
    """
    return _NUMBERS[words].get(word, OTHER)


def word_of(words: tuple[str, ...], number: int) -> str:
    """The word of a number."""
    return words[number] if number < len(words) else "other"
