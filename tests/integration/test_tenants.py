"""Tenants of one fleet on a broker: what is one's never reaches another, and a flood of one does not hold up another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.brokers import Broker
from tests.support.cli import headrace
from tests.support.fixtures import Measured
from tests.support.pipeline import wait_until
from tests.support.positions import read_all
from tests.support.tenants import Callers, asking, open_callers


@pytest.fixture
async def callers(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Callers]:
    async with open_callers(kafka, tmp_path, unique("shared"), ("acme", "beta", "open-a", "open-b")) as callers:
        yield callers


WITH_TENANTS: dict[str, object] = {
    "tenants.acme.weight": 1,
    "tenants.beta.models": ["small"],
    "tenants.beta.agents": "agent*",
    "tenants.open-a.cache.shared": True,
    "tenants.open-b.cache.shared": True,
}


@pytest.mark.timeout(180)
async def test_nothing_of_a_tenants_reaches_another(callers: Callers) -> None:
    names, acme, beta = callers.names, callers.names.tenants["acme"], callers.names.tenants["beta"]
    async with callers.pipeline.fleet(**WITH_TENANTS) as fleet:
        await fleet.start(1)
        same = asking("who are we?", "same-id")
        first = await callers.send("acme", same)
        ours = await callers.answers(acme.responses, 1)
        second = await callers.send("beta", same)
        theirs = await callers.answers(beta.responses, 1)
        third = await callers.send("", same)
        common = await callers.answers(names.responses, 1)
        # The same payload, agent and request id: each is called, none is found or taken for a repetition of another's.
        assert [found[at]["cache"] for found, at in ((ours, first), (theirs, second), (common, third))] == ["none"] * 3
        again = await callers.send("beta", same)
        assert (await callers.answers(beta.responses, 2))[again]["cache"] == "memory"
        # Those that share do so with requests of no tenant.
        for tenant in ("open-a", "open-b"):
            at = await callers.send(tenant, asking("who are we?", f"of-{tenant}"))
            assert (await callers.answers(names.tenants[tenant].responses, 1))[at]["cache"] == "memory"

        # A value claims what it likes: whose it is says its topic.
        claimed = await callers.send(
            "beta",
            asking("mine?", "claims", tenant="acme", agent_id="agent-of-acme"),
            headers=[("tenant", b"acme"), ("reply_to", acme.responses.encode())],
        )
        refused = (await callers.answers(beta.responses, 3))[claimed]
        assert refused["error"]["type"] == "invalid_reply_to"
        # Nor may those of no tenant ask for an answer there, nor a tenant on the common topic.
        stray = await callers.send("", asking("x", "stray"), headers=[("reply_to", acme.responses.encode())])
        assert (await callers.answers(names.responses, 2))[stray]["error"]["type"] == "invalid_reply_to"
        up = await callers.send("acme", asking("x", "up"), headers=[("reply_to", names.responses.encode())])
        assert (await callers.answers(acme.responses, 2))[up]["error"]["type"] == "invalid_reply_to"

        # What it may not ask for.
        model = await callers.send("beta", {**asking("x"), "payload": {**asking("x")["payload"], "model": "large"}})
        agent = await callers.send("beta", asking("x", agent_id="somebody"))
        found = await callers.answers(beta.responses, 5)
        assert [found[at]["error"]["type"] for at in (model, agent)] == ["invalid_request"] * 2

        # Poison.
        await callers.send("acme", b'{"agent_id": "a", "secret": 1', "low")
        await callers.send("acme", b'{"agent_id": "a", "payload": 7}', "high")
        rejected = await callers.answers(acme.responses, 3)
        assert sorted(each["status"] for each in rejected.values()) == ["error", "ok", "rejected"]

        async def both_are_buried() -> bool:
            return len(await read_all(callers.pipeline.client_options, [acme.dead_letters])) == 2

        await wait_until(both_are_buried, 60)
        assert await read_all(callers.pipeline.client_options, [names.dead_letters, beta.dead_letters]) == []
        await callers.pipeline.wait_all_committed(60)
        told = await headrace("trace", first, "--json", settings=callers.pipeline.directory / "headrace.toml")
        assert orjson.loads(told.out)["found_at"].startswith(f"{acme.responses}:")
    assert set(ours) == {first}
    topics = {at.rpartition(":")[0].rpartition(":")[0] for at in await callers.answers(beta.responses, 5)}
    assert topics == {beta.topic_of["normal"]}


@pytest.mark.timeout(180)
async def test_identical_calls_under_way_are_joined_within_a_tenant_alone(callers: Callers) -> None:
    slow = asking("slow?")
    slow["payload"]["headrace_sim"]["latency_ms"] = 1500
    async with callers.pipeline.fleet(**WITH_TENANTS) as fleet:
        await fleet.start(1)
        await asyncio.gather(*(callers.send(t, slow) for t in ("acme", "acme", "beta", "open-a", "open-b", "")))
        own = {t: await callers.answers(callers.names.responses_of(t), n) for t, n in (("acme", 2), ("beta", 1))}
        shared = {
            at: answer
            for t in ("open-a", "open-b", "")
            for at, answer in (await callers.answers(callers.names.responses_of(t), 1)).items()
        }
    assert sorted(each["cache"] for each in own["acme"].values()) in (["joined", "none"], ["memory", "none"])
    assert [each["cache"] for each in own["beta"].values()] == ["none"]
    assert sum(each["cache"] == "none" for each in shared.values()) == 1
    assert len(callers.pipeline.simulator.calls()) == 3


def p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, int(len(values) * 0.95) - 1)]


async def quiet_ms(callers: Callers, tenant: str, count: int, name: str) -> list[float]:
    """What requests of a tenant take, 10 a second, by the worker's own count."""
    sent = []
    for n in range(count):
        sent.append(await callers.send(tenant, timed(f"{name} {n}")))
        await asyncio.sleep(0.1)
    found = await callers.answers(callers.names.responses_of(tenant), count)
    assert [found[at]["status"] for at in sent if at in found] == ["ok"] * count
    return [found[at]["timing"]["total_ms"] for at in sent]


def timed(content: str, latency_ms: int = 400) -> dict[str, Any]:
    asked = asking(content, timeout_s=120.0)
    asked["payload"]["headrace_sim"]["latency_ms"] = latency_ms
    asked["cache"] = {"mode": "off"}
    return asked


@pytest.mark.timeout(300)
@pytest.mark.alone
async def test_a_flood_of_one_tenant_costs_another_little(callers: Callers, measured: Measured) -> None:
    """20 places for calls of 0.4 s: 50 a second. A quiet tenant asks for 10 a second; of `acme` fifty times its share (25) waits.

    Calls of the flood take 0.2 to 0.6 s, so that places do not all come free at once.
    """
    few = {
        "concurrency.total": 20,
        "concurrency.per_agent": 20,
        "concurrency.per_host": 20,
        "concurrency.high_share": "0%",
    }
    async with callers.pipeline.fleet(**WITH_TENANTS, **few) as fleet:
        await fleet.start(1)
        alone = await quiet_ms(callers, "beta", 40, "alone")
        flood = [
            asyncio.create_task(callers.send("acme", timed(f"flood {n}", 200 + n * 37 % 400))) for n in range(1_250)
        ]
        await asyncio.gather(*flood)
        beside = await quiet_ms(callers, "open-a", 40, "beside")
        left = await callers.pipeline.unfinished()
        assert any(topic in callers.names.tenants["acme"].topic_of.values() for topic, _ in left), "the flood has ended"
    measured(f"p95 alone {p95(alone):.0f} ms, beside a flood {p95(beside):.0f} ms")
    assert p95(beside) <= 1.2 * p95(alone) + 60
