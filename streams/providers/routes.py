"""Which providers a request may go to: by its model and operation, in the order of preference. Pure.

A route is a provider and one of its model groups, as `models` lists them: "main/gpt-*". All models of a group share its
limits and wait for the same things. So the number of routes is that of the settings, whatever models requests name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from schemas.request import Operation
from streams.limits import Route
from streams.providers.model_names import ModelMap, ModelPattern
from streams.providers.provider import Provider
from streams.providers.routing import POLICIES, Algorithm, Policy
from streams.providers.target import Target

Stage = tuple[Target, ...]
"""The targets of one model, in order."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How models that fit `match` are routed; `providers`: names in order, none for all that serve the model.

    `fallbacks`: models that stand in where the model's targets are down, or its context window is too small.
    """

    match: str
    algorithm: Algorithm
    providers: Sequence[str] = ()
    fallbacks: Sequence[str] = ()


class Routes:
    """`models`, `windows`: those of each provider, by its name. `rules`: the first that fits holds; the last fits all."""

    def __init__(
        self,
        providers: Sequence[Provider],
        models: Mapping[str, ModelMap],
        rules: Sequence[Rule],
        windows: Mapping[str, Mapping[str, int]],
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._models = models
        self._windows = {
            name: [(ModelPattern(model), tokens) for model, tokens in each.items()] for name, each in windows.items()
        }
        self._rules = [(ModelPattern(rule.match), rule) for rule in rules]
        self._policies: dict[tuple[str, str], Policy] = {}
        self.of = lru_cache(maxsize=1024)(self._stages)
        """The stages of a model and an operation: its own targets, then those of its fallbacks; none if nobody serves it."""
        self.mapping = lru_cache(maxsize=1024)(self._called)
        """What a model's name stands for, where it is not for itself: part of what makes two requests the same. Asked for every
        record: without the memory it costs a regular expression for each name that a provider knows, 2 us.
        """

    def _stages(self, model: str, operation: Operation) -> tuple[Stage, ...]:
        rule = self._rule(model)
        stages = [self._targets(name, operation, self._rule(name)) for name in dict.fromkeys((model, *rule.fallbacks))]
        return tuple(stage for stage in stages if stage)

    def _rule(self, model: str) -> Rule:
        return next(rule for pattern, rule in self._rules if pattern.match(model) is not None)

    def _targets(self, model: str, operation: Operation, rule: Rule) -> Stage:
        targets = []
        for name in rule.providers or self._providers:
            provider, entry = self._providers[name], self._models[name].find(model)
            if entry is not None and provider.serves(operation):
                group, called = entry
                policy = self._policies.setdefault((rule.match, name), POLICIES[rule.algorithm]())
                targets.append(Target(provider, Route(name, group), called, policy, self._window(name, called)))
        return tuple(targets)

    def _window(self, provider: str, model: str) -> int | None:
        fitting = (tokens for pattern, tokens in self._windows[provider] if pattern.match(model) is not None)
        return next(fitting, None)

    def _called(self, model: str) -> bytes:
        called = {name: entry[1] for name, models in self._models.items() if (entry := models.find(model)) is not None}
        renamed = [f"{name}={each}" for name, each in called.items() if each != model]
        return "\n".join(renamed).encode()
