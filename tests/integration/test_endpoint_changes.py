"""Endpoints that come, go and change while they are called: nothing is lost or called twice, and what is wrong changes nothing.

As others met it: envoyproxy/envoy#11527 (an endpoint that was removed got calls for nine minutes, as long as its checks ran),
BerriAI/litellm#41502 (one bad read of the file evicted what ran), BerriAI/litellm#5933 (what a call says that ends at a
deployment that is gone), weibocom/nginx-upsync-module#126 (the same text again, and each turn begins with the first one).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ops.provider_sim import ProviderSim
from streams.providers.stats import endpoint_stats
from streams.settings import Settings, SettingsError
from tests.integration.provider_rig import QUICK, OpenRig, Rig, ask, rig_settings
from tests.support.requests import pending


def settings(*urls: Any, **provider: Any) -> Settings:
    return rig_settings(urls, 4, 5.0, QUICK, provider, {})


def change(calls: Rig, *urls: Any, **provider: Any) -> None:
    calls.providers.prepare(settings(*urls, **provider))()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a simulator has no event for us
            await asyncio.sleep(0.01)


def states(label: str) -> dict[str, float]:
    return {
        sample.labels["state"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "headrace_endpoint_state"
        for sample in metric.samples
        if sample.labels["endpoint"] == label
    }


async def test_a_call_under_way_ends_at_an_endpoint_that_goes_and_no_other_begins_there(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    async with ProviderSim() as other, rig(simulator.url) as calls:
        await simulator.set(latency_ms=300)
        first = asyncio.create_task(calls.call(pending()))
        await until(lambda: calls.endpoints[0].in_flight)
        leaving = calls.endpoints[0]
        held = calls.reserve(pending())  # it has its place there, and has not begun
        change(calls, other.url)
        assert [(each.url, each.state, each.in_flight) for each in endpoint_stats(calls.providers)] == [
            (other.url, "healthy", 0),
            (simulator.url, "draining", 2),
        ]
        outcomes = await asyncio.gather(*(calls.call(pending()) for _ in range(2)))
        request = pending()
        outcomes.append(await held.call(request))
        held.release()
        outcomes.append(await first)
        assert {each.status for each in outcomes} == {"ok"}
        assert simulator.ledger.counts.calls == 1
        assert other.ledger.counts.calls == 3
        assert leaving.in_flight == 0
        assert [each.url for each in endpoint_stats(calls.providers)] == [other.url]
        assert not states(simulator.url), "a series that nobody renews would say for ever what it said last"
        await leaving.check(1.0)  # one that was under way
        assert not states(simulator.url)


async def test_who_waits_for_an_ill_endpoint_is_called_at_the_one_that_comes(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    async with rig("http://127.0.0.1:9/v1") as calls:
        told: list[object] = []
        calls.providers.on_room(told.append)
        request = pending()
        calls.endpoints[0].health.drain(True)
        assert type(ask(calls.providers, request)).__name__ == "Busy"
        change(calls, "http://127.0.0.1:9/v1", simulator.url)
        assert told, "flow is told that there may be room"
        assert calls.endpoints[0].health.state == "draining", "what is known of an endpoint stays known"
        assert (await calls.call(request)).status == "ok"


async def test_what_is_wrong_with_one_endpoint_changes_none(
    rig: OpenRig, simulator: ProviderSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    async with ProviderSim() as other, rig(simulator.url) as calls:
        before = calls.endpoints[0]
        with pytest.raises(SettingsError, match=r"providers\[0\].endpoints\[1\].api_key_env: .*NOT_THERE"):
            change(calls, other.url, {"url": simulator.url, "api_key_env": "NOT_THERE"})
        assert calls.endpoints == [before]
        assert (await calls.call(pending())).status == "ok"
        assert other.ledger.counts.calls == 0


async def test_another_key_and_another_name_are_the_same_endpoint(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig({"url": simulator.url, "name": "old", "api_key_env": "RIG_KEY"}) as calls:
        endpoint = calls.endpoints[0]
        endpoint.health.breaker.refused(endpoint.health.breaker.begin(), 0.0, "key", "no such key")
        os.environ["SECOND_KEY"] = "sk-second-1234567890"
        try:
            change(calls, {"url": simulator.url, "name": "old", "api_key_env": "SECOND_KEY", "weight": 7})
            change(calls, {"url": simulator.url, "name": "newer", "api_key_env": "SECOND_KEY", "weight": 7})
        finally:
            del os.environ["SECOND_KEY"]
        assert calls.endpoints == [endpoint]
        assert endpoint.weight == 7
        assert endpoint.client.key.current == "sk-second-1234567890"
        assert endpoint.health.breaker.state != "open", "a key that was refused says nothing of the next one"
        change(calls, {"url": simulator.url, "name": "newer", "api_key_env": "RIG_KEY"})
        change(calls, {"url": simulator.url, "name": "newest", "api_key_env": "RIG_KEY"})
        assert calls.endpoints == [endpoint]
        assert (endpoint.label, states("old"), states("newer")) == ("newest", {}, {})
        assert sum(states("newest").values()) == 1


async def test_the_same_text_again_changes_no_turn(rig: OpenRig, simulator: ProviderSim) -> None:
    async with ProviderSim() as other, rig(simulator.url, other.url, routing={"algorithm": "round_robin"}) as calls:
        for _ in range(6):
            await calls.call(pending())
            change(calls, simulator.url, other.url)
        assert Counter([simulator.ledger.counts.calls, other.ledger.counts.calls]) == Counter([3, 3])
