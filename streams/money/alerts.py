"""Shares of a budget that are told of once: by a line in the log and a count."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from schemas.cost import amount_text
from streams.metrics import definitions as metrics
from streams.money.books import Settled

log = structlog.get_logger("headrace.money")


def crossed(before: int, after: int, amount: int, shares: Sequence[float]) -> list[float]:
    """The shares of the amount that were reached between the two.

    >>> crossed(0, 60, 100, [0.5, 0.8]), crossed(60, 60, 100, [0.5, 0.8]), crossed(60, 100, 100, [0.5, 0.8, 1.0])
    ([0.5], [], [0.8, 1.0])
    """
    return [share for share in shares if before < share * amount <= after]


@dataclass(frozen=True, slots=True)
class Mark:
    """A share of a budget that was reached. Amounts are pico-units; `since`: when the period began, in Unix seconds."""

    budget: str
    name: str
    share: str
    spent: int
    amount: int
    since: int

    @property
    def id(self) -> str:
        """The same for the same share of the same amount in the same period, whoever says it."""
        what = repr((self.budget, self.name, self.share, self.amount, self.since))
        return f"budget-{hashlib.sha256(what.encode()).hexdigest()[:24]}"


def begin(budget: str, shares: Sequence[float]) -> None:
    """Count from nothing: a series that began with its first count would never be seen to grow."""
    for share in shares:
        metrics.BUDGET_ALERTS.labels(budget, f"{share:.0%}")


def tell(settled: Settled, amount: int, shares: Sequence[float], also: Callable[[Mark], None]) -> None:
    """Say which shares were reached, and to `also`. The worker that spent the money says it, and so one of all."""
    budget, name = settled.account
    for share in crossed(settled.before, settled.after, amount, shares):
        also(Mark(budget, name, f"{share:.0%}", settled.after, amount, settled.since))
        log.warning(
            "a budget is used up to a share of it",
            budget=budget,
            name=name,
            share=f"{share:.0%}",
            spent=amount_text(settled.after),
            amount=amount_text(amount),
        )
        metrics.BUDGET_ALERTS.labels(budget, f"{share:.0%}").inc()
