"""The ledger of budgets over a real broker: many callers, workers that vanish, and one that starts from the written state."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ops.admin.budget import read_books, rows_of, set_amount
from ops.brokers import Broker
from streams.app import producer_options
from streams.money.budgets import Budgets
from streams.money.build import open_ledger
from streams.money.rules import Payer
from streams.settings import Settings
from tests.support.fixtures import Measured
from tests.support.pipeline import fresh_topics, wait_until

PICO = 10**12
AMOUNT = 30 * PICO
AGENT = Payer("a")
KEY = ("agent/*/total", "a")


@pytest.fixture
async def settings(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> Settings:
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    budget = {"scope": "agent", "name": "*", "period": "total", "amount": "30"}
    return Settings.model_validate(
        {"kafka": {"bootstrap_servers": kafka.bootstrap_servers, "group_id": unique("g")}, "budgets": [budget]}
    )


class Worker:
    """A worker's part alone. `vanish` is kill -9: nothing that it knows is said any more."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Worker:
        self._producer = AIOKafkaProducer(**producer_options(self._settings))
        await self._producer.start()
        budgets = await open_ledger(self._settings, self._producer, self._stack, self._name)
        assert budgets is not None
        self.budgets: Budgets = budgets
        await asyncio.wait_for(budgets.known(), 60)
        return self

    async def vanish(self) -> None:
        """Its connection is gone before anything else ends."""
        await self._producer.stop()
        await self._stack.aclose()

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        await self._producer.stop()


async def test_a_thousand_callers_spend_a_budget_and_no_more_though_a_worker_vanishes(
    settings: Settings, measured: Measured
) -> None:
    rng, paid, took = random.Random(1), 0, []

    async def caller(worker: Worker, number: int) -> None:
        nonlocal paid
        for _ in range(200):
            purse = worker.budgets.purse(AGENT)
            assert purse is not None
            most = rng.randint(1, AMOUNT // 1000)
            began = time.monotonic()
            if await purse.cover(most, "m", 30.0, lambda: None) is not None:
                return
            took.append(time.monotonic() - began)
            cost = rng.randint(most // 2, most)
            paid += cost  # whatever becomes of the worker
            await asyncio.sleep(rng.uniform(0, 0.05))
            purse.settle(cost)

    async with Worker(settings, "w1") as one, Worker(settings, "w2") as two:
        lost = await Worker(settings, "w3").__aenter__()
        callers = [asyncio.create_task(caller((one, two)[number % 2], number)) for number in range(900)]
        dying = [asyncio.create_task(caller(lost, number)) for number in range(5)]
        await asyncio.sleep(0.5)
        for task in dying:
            task.cancel()
        await lost.vanish()
        await asyncio.wait_for(asyncio.gather(*callers), 60)
    measured(f"{paid / AMOUNT:.2%} used; a reservation takes {sorted(took)[len(took) // 2] * 1000:.0f} ms (median)")
    assert 0.98 * AMOUNT <= paid <= AMOUNT


async def test_a_worker_that_starts_knows_what_was_spent_and_an_amount_that_is_raised_counts_at_once(
    settings: Settings, measured: Measured
) -> None:
    async with Worker(settings, "w1") as worker:
        purse = worker.budgets.purse(AGENT)
        assert purse is not None
        assert await purse.cover(AMOUNT, "m", 20.0, lambda: None) is None
        purse.settle(AMOUNT)

        async def is_settled() -> bool:
            return worker.budgets.used_up(AGENT) is not None

        await wait_until(is_settled, 60)
    async with Worker(settings, "w2") as worker:
        purse = worker.budgets.purse(AGENT)
        assert purse is not None
        refused = await purse.cover(1, "m", 20.0, lambda: None)
        assert refused is not None
        assert "30 spent" in refused.message
        began = time.monotonic()
        await set_amount(settings, KEY[0], None, 2 * AMOUNT, "test")
        while await purse.cover(AMOUNT // 2, "m", 30.0, lambda: None) is not None:  # noqa: ASYNC110 - the ledger is another process
            await asyncio.sleep(0.01)
        measured(f"a raised amount counts after {(time.monotonic() - began) * 1000:.0f} ms, its writing included")
    (row,) = rows_of(await read_books(settings))
    assert (row.amount, row.spent) == ("60", "30")
