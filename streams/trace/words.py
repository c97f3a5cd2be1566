"""Words of a trace as numbers. New words are added at the end: a number on a topic keeps its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Final

OTHER: Final = "other"
"""What a word is called that this version does not know."""

CACHES: Final = ("none", "memory", "disk", "joined")

REASONS: Final = (
    "turn",
    "admission_rate",
    "worker_calls",
    "kept_for_high",
    "agent_calls",
    "agent_connections",
    "agent_over",
    "order",
    "merging",
    "input_size",
    "membership",
    "provider_limit",
    "provider_pause",
    "provider_connections",
    "endpoint_slots",
    "endpoints_down",
    "bandwidth",
    "body_memory",
    "unknown",
    "backoff",
    "room",
    "partition_full",
    "class_full",
    "partition_held",
    "reading",
    "class_paused",
    "tenant_calls",
    "tenant_rate",
    "budget",
)
"""`Reason` of streams/waits.py."""

OF: Final = ("requests", "tokens", "input tokens", "output tokens")
"""What a limit is short of; several at a time are joined by "and"."""

OUTCOMES: Final = (
    "ok",
    "cancelled",
    "provider_error",
    "provider_timeout",
    "provider_unavailable",
    "answer_too_large",
    "invalid_request",
    "exceeds_limit",
    "internal",
    "deadline",
    "too_large",
    "queue_full",
    "invalid_reply_to",
)
"""Of one attempt."""

UNKNOWN: Final = 255


def numbers(words: tuple[str, ...]) -> dict[str, int]:
    """The number of each word."""
    return {word: number for number, word in enumerate(words)}


def word(words: tuple[str, ...], number: int) -> str:
    """The word of a number.

    >>> word(CACHES, 3), word(CACHES, 77)
    ('joined', 'other')
    """
    return words[number] if number < len(words) else OTHER


OF_BITS: Final[Mapping[str, int]] = {
    " and ".join(OF[number] for number in chosen): sum(1 << number for number in chosen)
    for count in range(len(OF) + 1)
    for chosen in combinations(range(len(OF)), count)
}
"""What is short as a set of bits, one a word of OF.

>>> OF_BITS["tokens"], OF_BITS["requests and input tokens"], OF_BITS[""]
(2, 5, 0)
"""

OF_WORDS: Final[Mapping[int, str]] = {bits: text for text, bits in OF_BITS.items()}
