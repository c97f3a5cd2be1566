"""What calls cost by the price table, and the most that a call may cost before it is made. Pure but for one warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from schemas.request import Operation
from streams.metrics import definitions as metrics
from streams.money.budgets import Purse
from streams.money.most_tokens import most_input, most_output
from streams.money.prices import PriceTable, Steps, cost_of, most_of
from streams.money.spent import NOTHING, Spent
from streams.money.usage import Billed, Tier

log = structlog.get_logger("headrace.money")

_ASKED_TIERS: Final[Mapping[object, tuple[Tier, ...]]] = {
    "priority": ("standard", "priority"),
    "fast": ("standard", "priority"),
    "auto": ("standard", "priority"),
}
"""Tiers in which a call may be served that asks for one: the dearest counts before the call, the one it had after it."""
_MOST_WARNED: Final = 1000


@dataclass(slots=True)
class Costs:
    """`now`: Unix seconds. `largest_output`: tokens of an answer whose request names no bound."""

    table: PriceTable
    now: Callable[[], float]
    largest_output: int
    urls: Mapping[str, str] = field(default_factory=dict)
    """Of the providers, by which the table knows whose list prices they have."""
    _warned: set[tuple[str, str]] = field(default_factory=set)

    def of(self, provider: str, model: str, billed: Billed) -> Spent:
        """What an answer cost."""
        steps = self._steps(provider, model, billed.tier)
        return Spent(None) if steps is None else Spent(cost_of(steps, billed), self.table.version)

    def most(self, provider: str, model: str, operation: Operation, payload: Mapping[str, Any]) -> int | None:
        """The most that a call may cost, in pico-units; None where nobody has named a price."""
        given, made = most_input(operation, payload), most_output(operation, payload, self.largest_output)
        tiers = _ASKED_TIERS.get(_text(payload.get("service_tier")), ("standard",))
        found = [self._steps(provider, model, tier) for tier in tiers]
        return None if None in found else max(most_of(steps, given, made) for steps in found if steps is not None)

    def guessed(self, provider: str, model: str, operation: Operation, payload: Mapping[str, Any]) -> Spent:
        """Of a call that was perhaps paid and of which nobody knows the use: the most that it may have cost."""
        most = self.most(provider, model, operation, payload)
        return Spent(most, self.table.version, estimated=True)

    def _steps(self, provider: str, model: str, tier: Tier) -> Steps | None:
        steps = self.table.of(provider, model, tier, self.now())
        if steps is None:
            metrics.COST_UNKNOWN.labels(provider).inc()
            if (provider, model) not in self._warned and len(self._warned) < _MOST_WARNED:
                self._warned.add((provider, model))
                # Trouble only where a budget has to be held, and there the request is refused by name.
                log.info("no price is known: name one in [[prices]]", provider=provider, model=model)
        return steps


def _text(given: object) -> str:
    return given if type(given) is str else ""


class Bill:
    """Of one request, over its attempts: what they cost, and what is settled of it with the budgets that it is in."""

    __slots__ = ("_guess", "_known", "purse")

    def __init__(self, purse: Purse | None = None) -> None:
        self._known = self._guess = NOTHING
        self.purse = purse

    @property
    def total(self) -> Spent:
        """What the request has cost so far."""
        return self._known + self._guess

    def answered(self, cost: Spent, *, reads_on: bool = False) -> None:
        """An attempt was answered. `reads_on`: it read on an answer that an attempt before it had begun, and that is paid once:
        what was guessed of that one is known now.
        """
        self._known += cost if reads_on else self._guess + cost
        self._guess = NOTHING
        self._settle(0 if reads_on else cost.pico)

    def unknown(self, guess: Spent) -> None:
        """An attempt was perhaps paid, and nobody knows how much."""
        self._known, self._guess = self._known + self._guess, guess
        self._settle(guess.pico)

    def unpaid(self) -> None:
        """What is set aside and not settled yet was not paid."""
        self._settle(0)

    def _settle(self, pico: int | None) -> None:
        if self.purse is not None and pico is not None:
            self.purse.settle(pico)
