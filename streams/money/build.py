"""Prices, costs and budgets from the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer

from schemas.budget import BudgetRule
from schemas.cost import pico_of
from streams.identity import process_id
from streams.money.alerts import Mark
from streams.money.budgets import Budgets
from streams.money.costs import Costs
from streams.money.desk import Desk
from streams.money.ledger import Ledger
from streams.money.library import library_version, listed, price_of
from streams.money.prices import PriceTable, Rule
from streams.settings import Settings
from streams.settings.money import Price

log = structlog.get_logger("headrace.money")

_DIGEST_CHARS: Final = 8


def costs_of(settings: Settings, now: Callable[[], float]) -> Costs:
    """How this fleet counts costs. Loads the price list, where there is one (0.3 s)."""
    return Costs(price_table(settings), now, settings.costs.largest_output, _urls(settings))


def prepare_prices(costs: Costs, settings: Settings) -> Callable[[], None]:
    """What has calls that end from now on cost what these settings say. A reservation that is made keeps its amount."""
    urls = _urls(settings)
    if costs.table.version == _version(settings) and costs.urls == urls:
        return lambda: None
    table = price_table(settings)

    def take() -> None:
        costs.table, costs.urls = table, urls

    return take


def price_table(settings: Settings) -> PriceTable:
    """The settings' prices, before those of the list."""
    rules = [_rule(price) for price in settings.prices]
    if settings.costs.library == "none" or library_version() is None:
        if settings.costs.library != "none":
            log.warning("the price list genai-prices is not installed: only [[prices]] count")
        return PriceTable(rules, _version(settings))
    lists = {each.name: each.price_list for each in settings.providers if each.price_list is not None}
    return PriceTable(rules, _version(settings), listed(lists, _urls(settings)))


def _urls(settings: Settings) -> dict[str, str]:
    return {each.name: each.endpoints[0].url for each in settings.providers}


def _version(settings: Settings) -> str:
    """Of the list, and of the settings' own prices by their digest; answers bear it."""
    parts = [library_version()] if settings.costs.library == "genai-prices" else []
    if settings.prices:
        given = repr([price.model_dump(mode="json") for price in settings.prices])
        parts.append("settings-" + hashlib.sha256(given.encode()).hexdigest()[:_DIGEST_CHARS])
    return "+".join(part for part in parts if part) or "none"


def rules_of(settings: Settings) -> list[BudgetRule]:
    """The budgets of the settings."""
    return [
        BudgetRule(each.scope, each.name, each.period, pico_of(str(each.amount)), each.hard)
        for each in settings.budgets
    ]


async def open_ledger(
    settings: Settings,
    producer: AIOKafkaProducer,
    stack: AsyncExitStack,
    worker_id: str | None = None,
    on_mark: Callable[[Mark], None] = lambda _mark: None,
) -> Budgets | None:
    """The budgets that the settings name, None where there are none. The ledger behind them ends with `stack`.
    `on_mark` is told of shares of budgets that are reached.
    """
    if not settings.budgets:
        return None
    names, rules = settings.topics.names, rules_of(settings)
    await producer.partitions_for(names.budget_ledger)
    await producer.partitions_for(names.budget_state)
    desk = Desk(worker_id or process_id(), wake=lambda: None)
    alerts = {rule.key: each.alerts for rule, each in zip(rules, settings.budgets, strict=True)}
    ledger = Ledger(
        desk,
        producer,
        settings.kafka.client_options(),
        ledger=names.budget_ledger,
        state=names.budget_state,
        rules=rules,
        alerts=alerts,
        on_mark=on_mark,
    )
    stack.push_async_callback(ledger.stop)
    await ledger.start()
    return Budgets(desk)


def _rule(given: Price) -> Rule:
    kinds: dict[str, Decimal | None] = {
        "input": given.input,
        "output": given.output,
        "cached": given.cached_input,
        "written": given.cache_write,
        "written_1h": given.cache_write_1h,
        "reasoning": given.reasoning,
    }
    return Rule(given.model, given.provider, given.tier, price_of(kinds, given.above), given.fallback)
