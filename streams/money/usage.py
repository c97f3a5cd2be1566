"""What a provider bills of an answer: its tokens by price. Pure.

Providers count differently. OpenAI's prompt holds what was cached, and its completion what was thought
(https://platform.openai.com/docs/guides/prompt-caching, /guides/reasoning); Anthropic counts cache reads and writes beside
the input (https://docs.claude.com/en/docs/build-with-claude/prompt-caching), which its format here has added up before. xAI and
Gemini leave thinking out of the completion and have it in the total alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.response import Usage

Tier = Literal["standard", "batch", "flex", "priority"]

_TIER_OF: Final[dict[object, Tier]] = {"batch": "batch", "flex": "flex", "priority": "priority", "fast": "priority"}
_MOST_TOKENS: Final = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens of one call. `cached`, `written` and `written_1h` are parts of `input`, `reasoning` of `output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    """Into the provider's prompt cache."""
    written_1h: int = 0
    """Into its cache for an hour, which some price apart; no part of `written`."""
    reasoning: int = 0
    tier: Tier = "standard"
    """The tier that the provider says it served the call in, whatever was asked for."""


def billed_of(usage: Usage, stated: Any, tier: object = None) -> Billed | None:
    """What `stated`, a usage in the OpenAI format, bills; None where it says nothing. `tier`: the answer's `service_tier`."""
    if not usage.total_tokens and not usage.prompt_tokens and not usage.completion_tokens:
        return None
    given = stated if type(stated) is dict else {}
    prompt = usage.prompt_tokens
    output = max(usage.completion_tokens, usage.total_tokens - prompt)
    into, out = (
        _details(given, "prompt_tokens_details", "input_tokens_details"),
        _details(given, "completion_tokens_details", "output_tokens_details"),
    )
    cached = min(prompt, _first(into, "cached_tokens") or _first(given, *_CACHED_BESIDE))
    left = prompt - cached
    hour = min(left, _first(into, "cache_creation_1h_tokens"))
    made = _first(into, "cache_creation_tokens", "cache_write_tokens") or _first(given, "cache_creation_input_tokens")
    written = min(left - hour, max(0, made - hour))
    reasoning = min(output, _first(out, "reasoning_tokens"))
    named = tier if type(tier) is str else given.get("service_tier")
    return Billed(prompt, output, cached, written, hour, reasoning, _TIER_OF.get(_text(named), "standard"))


_CACHED_BESIDE: Final = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")


def _text(given: object) -> str:
    return given if type(given) is str else ""


def _details(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((given[name] for name in names if type(given.get(name)) is dict), {})


def _first(given: dict[str, Any], *names: str) -> int:
    """The first of these counts that is one and not 0."""
    for name in names:
        count = given.get(name)
        if type(count) is float and count.is_integer():
            count = int(count)
        if type(count) is int and 0 < count <= _MOST_TOKENS:
            return count
    return 0
