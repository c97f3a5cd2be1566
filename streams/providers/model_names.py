"""Names of models: patterns with `*`, and what a provider calls what its callers name otherwise. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ModelPattern:
    """A name in which `*` stands for any text, and nothing else is special.

    >>> ModelPattern("qwen-7b[awq]").match("qwen-7b[awq]")
    ()
    >>> ModelPattern("gpt-*").match("gpt-4o")
    ('4o',)
    """

    text: str

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("(.*)".join(map(re.escape, self.text.split("*"))), re.DOTALL)

    def match(self, model: str) -> tuple[str, ...] | None:
        """What stands for each `*`; None where the name does not fit."""
        matched = self._regex.fullmatch(model)
        return None if matched is None else matched.groups()


@dataclass(frozen=True, slots=True)
class ModelMap:
    """The models of a provider, the first that fits holds: what a caller says, and what the provider calls it.

    A `*` in the provider's name is what stood for the first `*` of the caller's.

    >>> models = ModelMap.of({"smart": "claude-x", "gpt-*": "openai/gpt-*"})
    >>> models.find("smart"), models.find("gpt-4o"), models.find("other")
    (('smart', 'claude-x'), ('gpt-*', 'openai/gpt-4o'), None)
    """

    entries: tuple[tuple[ModelPattern, str | None], ...]

    @classmethod
    def of(cls, models: Mapping[str, str | None]) -> ModelMap:
        """Of patterns and names; None: the provider calls it as the caller does."""
        return cls(tuple((ModelPattern(name), called) for name, called in models.items()))

    def find(self, model: str) -> tuple[str, str] | None:
        """The entry that a caller's model belongs to, its group, and what the provider calls it; None if it has none."""
        for pattern, called in self.entries:
            stars = pattern.match(model)
            if stars is not None:
                return pattern.text, model if called is None else called.replace("*", stars[0] if stars else "*", 1)
        return None
