"""What Claude models take, by their names: the Messages API refuses some fields for some of them. Pure.

Sources: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, .../effort, .../extended-thinking, and
https://platform.claude.com/docs/en/about-claude/models/migration-guide. Of a name that is none of Claude's nothing is known: it
may be a gateway's own, so nothing is left out for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_OLD: Final = re.compile(r"claude-(\d)(?:[.-](\d)(?!\d))?-(?:opus|sonnet|haiku)", re.IGNORECASE)
_NEW: Final = re.compile(r"claude-[a-z]+-(\d{1,2})(?!\d)(?:[.-](\d{1,2})(?!\d))?", re.IGNORECASE)
_SWAPPED: Final = re.compile(r"claude-(\d{1,2})[.-](\d{1,2})-[a-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelRules:
    """What may be sent."""

    efforts: bool = True
    """`output_config.effort`."""
    high_efforts: bool = False
    """Its value `xhigh`."""
    adaptive: bool = False
    """Thinking of which the model decides how much there is."""
    budgets: bool = False
    """Thinking with a budget of tokens."""
    thinks: bool = True
    """Thinking of either kind."""
    sampling: bool = True
    """temperature, top_p and top_k."""
    prefill: bool = True
    """A chat that ends with the assistant's words, for the model to go on from."""


@lru_cache(maxsize=256)
def rules_of(model: str) -> ModelRules:
    """
    >>> rules_of("claude-sonnet-4-5-20250929").budgets, rules_of("us.anthropic.claude-opus-4-6-v1").adaptive
    (True, True)
    >>> rules_of("claude-3-5-haiku-20241022").budgets, rules_of("smart") == ModelRules()
    (False, True)
    """
    matched = _OLD.search(model) or _SWAPPED.search(model) or _NEW.search(model)
    if matched is None:
        return ModelRules()
    version = (int(matched[1]), int(matched[2] or 0))
    adaptive, latest = version >= (4, 6), version >= (4, 7)
    return ModelRules(
        efforts=adaptive,
        high_efforts=latest,
        adaptive=adaptive,
        budgets=version >= (3, 7) and not latest,
        thinks=version >= (3, 7),
        sampling=not latest,
        prefill=not adaptive,
    )
