"""Prices of models, in pico-units a token, and what a call costs by them. Pure.

A step holds for whole calls whose prompt is longer than `above`: that is how providers price long contexts, all tokens of the
call at the higher price (https://ai.google.dev/gemini-api/docs/pricing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from streams.money.usage import Billed, Tier

_HOUR_S: Final = 3600
_MOST_KNOWN: Final = 4096


@dataclass(frozen=True, slots=True)
class Price:
    """Of one token of each kind, in pico-units."""

    input: int
    output: int
    cached: int
    written: int
    written_1h: int
    reasoning: int
    above: int = 0
    """For prompts of more tokens than this."""

    def of(self, billed: Billed) -> int:
        """What the tokens cost. Every token counts once, at one price: the parts add up to the whole exactly."""
        plain = billed.input - billed.cached - billed.written - billed.written_1h
        return (
            plain * self.input
            + billed.cached * self.cached
            + billed.written * self.written
            + billed.written_1h * self.written_1h
            + (billed.output - billed.reasoning) * self.output
            + billed.reasoning * self.reasoning
        )

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens may cost, whichever kinds they turn out to be."""
        dearest = max(self.input, self.cached, self.written, self.written_1h)
        return input_tokens * dearest + output_tokens * max(self.output, self.reasoning)


Steps = tuple[Price, ...]
"""Prices of one model and tier, by rising `above`; the first one is for all prompts."""


def cost_of(steps: Steps, billed: Billed) -> int:
    """Pico-units that a call cost."""
    return _step(steps, billed.input).of(billed)


def most_of(steps: Steps, input_tokens: int, output_tokens: int) -> int:
    """The most that a call with at most so many tokens may cost."""
    reached = [step for step in steps if step.above < max(1, input_tokens)] or steps[:1]
    return max(step.most(input_tokens, output_tokens) for step in reached)


def _step(steps: Steps, input_tokens: int) -> Price:
    return next((step for step in reversed(steps) if input_tokens > step.above), steps[0])


@dataclass(frozen=True)
class Rule:
    """Prices that the settings give: for models (as their provider calls them) and providers that fit, `*` for any text."""

    model: str
    provider: str
    tier: Tier
    price: Price
    fallback: bool = False
    """Only for what the price list has not."""

    def fits(self, provider: str, model: str) -> bool:
        return self._model.fullmatch(model) is not None and self._provider.fullmatch(provider) is not None

    @cached_property
    def _model(self) -> re.Pattern[str]:
        return pattern(self.model)

    @cached_property
    def _provider(self) -> re.Pattern[str]:
        return pattern(self.provider)


def pattern(text: str) -> re.Pattern[str]:
    """A name in which `*` stands for any text and nothing else is special."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


Listed = Callable[[str, str, Tier, float], Steps | None]
"""The price list's prices of a provider's model in a tier, at a time (Unix seconds)."""


def _not_listed(_provider: str, _model: str, _tier: Tier, _now: float) -> None:
    return None


@dataclass(slots=True)
class PriceTable:
    """Prices by provider, model and tier: the settings' before the list's. A look-up costs 0.2 us once the model was seen.

    `version` names the list and the settings' prices, so that a cost can be counted again later.
    """

    rules: Sequence[Rule]
    version: str
    listed: Listed = _not_listed
    _known: dict[tuple[str, str, Tier], tuple[int, Steps | None]] = field(default_factory=dict)

    def of(self, provider: str, model: str, tier: Tier, now: float) -> Steps | None:
        """The prices in force; None where nobody has named one. A tier without a price of its own has the standard one."""
        key, hour = (provider, model, tier), int(now // _HOUR_S)
        known = self._known.get(key)
        if known is None or known[0] != hour:  # some prices change at a date, and none oftener than by the hour
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = (hour, self._find(provider, model, tier, now))
        return known[1]

    def _find(self, provider: str, model: str, tier: Tier, now: float) -> Steps | None:
        return (
            self._set(provider, model, tier, fallback=False)
            or self.listed(provider, model, tier, now)
            or (self._set(provider, model, "standard", fallback=False) if tier != "standard" else None)
            or self._set(provider, model, tier, fallback=True)
            or self._set(provider, model, "standard", fallback=True)
        )

    def _set(self, provider: str, model: str, tier: Tier, *, fallback: bool) -> Steps | None:
        """The first rule that fits, and the steps of all rules that are written alike."""
        fitting = [r for r in self.rules if r.fallback is fallback and r.tier == tier and r.fits(provider, model)]
        if not fitting:
            return None
        alike = [r.price for r in fitting if (r.model, r.provider) == (fitting[0].model, fitting[0].provider)]
        return tuple(sorted({price.above: price for price in reversed(alike)}.values(), key=lambda price: price.above))
