"""What a call used, as its provider reported it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.response import Usage


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one call. `cached` is the part of `input` that the provider read from its own prompt cache."""

    input: int = 0
    output: int = 0
    cached: int = 0


NOTHING: Final = Used()
"""The provider refused the call: it counts as a request."""


def used_of(usage: Usage, cached: int = 0) -> Used | None:
    """What an answer's usage says; None where it says nothing.

    Tokens that are in the total alone (thinking, at some providers) are output.
    """
    if not usage.total_tokens and not usage.prompt_tokens and not usage.completion_tokens:
        return None
    output = max(usage.completion_tokens, usage.total_tokens - usage.prompt_tokens)
    return Used(usage.prompt_tokens, output, min(cached, usage.prompt_tokens))
