"""Budgets: which of them a request is in, and when their periods begin and end. Pure. All times are UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from schemas.budget import BudgetRule, Period, Scope
from streams.money.prices import pattern

AccountKey = tuple[str, str]
"""A budget's key and the name that it is for."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Whom a request belongs to: names by scope. An empty name is in no budget."""

    agent: str
    tenant: str = ""
    key: str = ""

    def name(self, scope: Scope) -> str:
        return {"agent": self.agent, "tenant": self.tenant, "key": self.key}[scope]


class BudgetRules:
    """Which budgets hold for whom."""

    def __init__(self, rules: Sequence[BudgetRule]) -> None:
        self.by_key: Mapping[str, BudgetRule] = {rule.key: rule for rule in rules}
        self._patterns: list[tuple[BudgetRule, re.Pattern[str]]] = [(rule, pattern(rule.name)) for rule in rules]
        self.accounts_of = lru_cache(maxsize=4096)(self._accounts_of)
        """The accounts of a payer: one for each budget that its names fit, all of which have to have room."""

    def _accounts_of(self, payer: Payer) -> tuple[AccountKey, ...]:
        return tuple(
            (rule.key, name)
            for rule, fits in self._patterns
            if (name := payer.name(rule.scope)) and fits.fullmatch(name) is not None
        )


def period_start(period: Period, now: float) -> int:
    """Unix seconds at which the period began that `now` is in; 0 for a total.

    >>> period_start("day", 90_000.5), period_start("month", 3_000_000), period_start("total", 5)
    (86400, 2678400, 0)
    """
    if period == "total":
        return 0
    at = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((at if period == "day" else at.replace(day=1)).timestamp())


def period_end(period: Period, now: float) -> datetime | None:
    """When the period ends that `now` is in; None for a total."""
    if period == "total":
        return None
    began = datetime.fromtimestamp(period_start(period, now), UTC)
    return began + timedelta(days=1) if period == "day" else (began + timedelta(days=32)).replace(day=1)
