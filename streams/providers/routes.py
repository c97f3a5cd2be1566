"""Which providers a request may go to: by its model and operation, in the order of preference. Pure.

A route is a provider and one of its model groups, as `models` lists them: "main/gpt-*". All models of a group share its
limits and wait for the same things. So the number of routes is that of the settings, whatever models requests name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from schemas.request import Operation
from streams.providers.provider import Choice, Provider
from streams.providers.routing import POLICIES, Algorithm, Policy


@dataclass(frozen=True, slots=True)
class Rule:
    """How models that fit `match` are routed; `providers`: names in order, none for all that serve the model."""

    match: str
    algorithm: Algorithm
    providers: Sequence[str] = ()


class Routes:
    """`groups`: the model patterns of each provider, by its name. `rules`: the first that fits holds; the last fits all."""

    def __init__(
        self, providers: Sequence[Provider], groups: Mapping[str, Sequence[str]], rules: Sequence[Rule]
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._groups = groups
        self._rules = rules
        self._policies: dict[tuple[int, str], Policy] = {}
        self.of = lru_cache(maxsize=1024)(self._choices)
        """The choices for a model and an operation, in order; none if nobody serves it."""

    def _choices(self, model: str, operation: Operation) -> tuple[Choice, ...]:
        number, rule = next(
            (number, rule) for number, rule in enumerate(self._rules) if fnmatch.fnmatchcase(model, rule.match)
        )
        found = []
        for name in rule.providers or self._providers:
            provider = self._providers[name]
            group = next((each for each in self._groups[name] if fnmatch.fnmatchcase(model, each)), None)
            if group is not None and provider.serves(operation):
                policy = self._policies.setdefault((number, name), POLICIES[rule.algorithm]())
                found.append(Choice(provider, group, policy))
        return tuple(found)
