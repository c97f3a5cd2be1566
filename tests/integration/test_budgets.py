"""Costs and budgets over a real broker: the provider's own book is the judge."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import defaultdict
from fractions import Fraction
from typing import Any

import orjson
import pytest

from ops.load.traffic import Traffic
from ops.processes.fleet import Fleet
from tests.support.fixtures import FULL, Measured
from tests.support.money import chat, paid, with_money
from tests.support.pipeline import Pipeline
from tests.support.positions import read_all
from topics.names import RESPONSES

AMOUNT = 30


async def answers(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """The first answer to each request, by its id."""
    found: dict[str, dict[str, Any]] = {}
    for record in await read_all(pipeline.client_options, (RESPONSES,)):
        value = orjson.loads(record.value)
        found.setdefault(value["request_id"], value)
    return found


async def send(traffic: Traffic, values: list[tuple[str, dict[str, Any]]], per_second: float) -> None:
    began = time.monotonic()
    for number, (agent, value) in enumerate(values):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        await traffic.send("normal", agent, value)


async def test_the_costs_of_the_answers_are_what_the_provider_was_paid_to_the_unit(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(cached_share=0.37, reasoning_share=0.21)
    settings = with_money(pipeline.settings(), [])
    values = [("a", chat(f"c-{number}", completion_tokens=number)) for number in range(1, 60)]
    values.append(("a", chat("twice", fail_first=1, status=500)))
    async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        await send(traffic, values, 100)
        assert await traffic.wait_answered(60)
    made, found = await pipeline.simulator.generations(), await answers(pipeline)
    costs = {name: Fraction(value["cost"]["amount"]) for name, value in found.items()}
    assert costs == {name: paid(made[name]) for name in costs}
    assert sum(costs.values()) == sum(map(paid, made.values()))
    assert {value["cost"]["currency"] for value in found.values()} == {"USD"}


@pytest.mark.timeout(900 if FULL else 420)
async def test_a_budget_is_used_and_never_overspent_though_workers_are_killed(
    pipeline: Pipeline, measured: Measured
) -> None:
    """https://github.com/BerriAI/litellm/issues/26672: 99 spent of 30 by concurrent callers."""
    await pipeline.simulator.configure(cached_share=0.25, reasoning_share=0.5)
    owners, workers, kill_s = ([f"o-{n}" for n in range(20)], 3, 10.0) if FULL else (["o-0", "o-1"], 2, 3.0)
    budget = {"scope": "agent", "name": "o-*", "period": "total", "amount": str(AMOUNT)}
    settings = with_money(pipeline.settings(kafka__session_timeout="3s"), [budget])
    each = 1000 // len(owners) if FULL else 30
    """Callers of one owner, each with one request after the other."""
    refused: dict[str, int] = defaultdict(int)
    kills = stops = 0

    async def caller(traffic: Traffic, owner: str, number: int) -> None:
        for turn in range(1000):
            if refused[owner] > each:
                return
            await traffic.send("normal", owner, chat(f"{owner}-{number}-{turn}", latency_ms=500 if FULL else 50))
            await asyncio.sleep(20.0 if FULL else 1.0)

    async with Fleet(settings, pipeline.directory) as fleet:

        def note(answer: Any) -> None:
            value = orjson.loads(answer.value)
            refused[value["agent_id"]] += (value.get("error") or {}).get("type") == "budget_exceeded"

        async with pipeline.traffic(note) as traffic:
            await fleet.start(workers, ready_within_s=120.0)

            async def kill() -> None:
                nonlocal kills, stops
                while FULL or not kills:
                    await asyncio.sleep(kill_s)
                    victim = fleet.workers[(kills + stops) % len(fleet.workers)]
                    if FULL and kills > stops:  # one after the other
                        stops += 1
                        victim.signal(signal.SIGSTOP)
                        await asyncio.sleep(kill_s)
                        victim.signal(signal.SIGCONT)
                        continue
                    victim.kill()
                    kills += 1
                    await fleet.replace(victim, ready_within_s=None)

            killing = asyncio.create_task(kill())
            await asyncio.gather(*(caller(traffic, owner, number) for owner in owners for number in range(each)))
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
            assert await traffic.wait_answered(120)
    made, found = await pipeline.simulator.generations(), await answers(pipeline)
    spent: dict[str, Fraction] = defaultdict(Fraction)
    for name, counts in made.items():
        spent[name.rsplit("-", 2)[0]] += paid(counts)
    once = [name for name, counts in made.items() if counts["begun"] == 1 and found[name]["status"] == "ok"]
    measured(
        f"{kills} killed, {stops} stopped for {kill_s:.0f} s, {len(made)} called, {len(made) - len(once)} of them not once; "
        f"spent {float(min(spent.values())):.3f} to {float(max(spent.values())):.3f} of {AMOUNT}"
    )
    assert kills > 0
    assert max(spent.values()) <= AMOUNT
    assert min(spent.values()) >= Fraction(98, 100) * AMOUNT
    assert all(Fraction(found[name]["cost"]["amount"]) == paid(made[name]) for name in once)
    error = next(value["error"] for value in found.values() if value["status"] == "error")
    assert error["type"] == "budget_exceeded"
    assert not error["retryable"]
    assert "agent/o-*/total" in error["message"]
