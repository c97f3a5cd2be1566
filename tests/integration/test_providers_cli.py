"""`headrace providers`, against real endpoints and a worker's HTTP server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from ops.processes.health import serve_health
from ops.provider_sim import ProviderSim
from streams.providers.formats.wire import Failure
from streams.providers.stats import drain_endpoint, endpoint_stats
from tests.integration.provider_rig import Rig, free_port, open_rig, over_aiohttp, url_of
from tests.support.cli import headrace
from tests.support.requests import pending


@pytest.fixture
async def rig(simulator: ProviderSim) -> AsyncIterator[Rig]:
    async with open_rig(over_aiohttp, simulator.url, f"http://127.0.0.1:{free_port()}/v1") as opened:
        yield opened


@pytest.fixture
async def worker(rig: Rig) -> AsyncIterator[str]:
    """The address of a worker's HTTP server, as ops/processes/worker.py sets it up."""
    providers = rig.providers
    async with serve_health(
        "127.0.0.1:0",
        lambda: True,
        {"/providers": lambda: endpoint_stats(providers)},
        {"/providers/drain": lambda asked: drain_endpoint(providers, asked["endpoint"], asked["draining"])},
    ) as address:
        yield address


def settings(tmp_path: Path, *urls: str) -> Path:
    path = tmp_path / "headrace.toml"
    endpoints = ", ".join(f'{{ url = "{url}" }}' for url in urls)
    path.write_text(f'[[providers]]\nname = "main"\nendpoints = [{endpoints}]\n')
    return path


async def test_check_asks_every_endpoint_and_says_which_does_not_answer(simulator: ProviderSim, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    both = await headrace("providers", "check", "--json", settings=settings(tmp_path, simulator.url, dead))
    found = {each["url"]: each for each in orjson.loads(both.out)}
    assert both.code == 1
    assert (found[simulator.url]["well"], found[simulator.url]["status"]) == (True, 200)
    assert not found[dead]["well"]
    one = await headrace("providers", "check", settings=settings(tmp_path, simulator.url))
    assert one.code == 0
    assert "status 200" in one.out
    assert simulator.ledger.counts.checks == 2


async def test_the_list_says_which_models_of_an_endpoint_are_set_aside_and_why(rig: Rig, worker: str) -> None:
    health = rig.endpoints[0].health
    refusal = Failure("provider_error", "the provider answered 404: no such model", fault="model", certain=True)
    begun = health.begin("typo")
    health.end(begun)
    health.refused(begun, refusal, time.monotonic())
    listed = await headrace("providers", "list", "--worker", worker)
    assert "set aside, model typo, for" in listed.out
    assert "s more (model): the provider answered 404: no such model" in listed.out


async def test_a_drained_endpoint_gets_no_calls_until_it_is_undone(
    rig: Rig, worker: str, simulator: ProviderSim
) -> None:
    listed = await headrace("providers", "list", "--worker", worker, "--json")
    assert [each["state"] for each in orjson.loads(listed.out)] == ["healthy", "healthy"]
    assert listed.code == 0
    drained = await headrace("providers", "drain", simulator.url, "--worker", worker, "--json")
    assert [each["state"] for each in orjson.loads(drained.out)] == ["draining"]
    calls = [rig.reserve(pending()) for _ in range(3)]
    assert {url_of(call) for call in calls} == {rig.endpoints[1].url}
    for call in calls:
        call.release()
    assert (await headrace("providers", "list", "--worker", worker)).code == 1
    undone = await headrace("providers", "drain", simulator.url, "--undo", "--worker", worker)
    assert "healthy" in undone.out
    assert rig.endpoints[0].health.fit("small", time.monotonic())


async def test_what_is_wrong_is_one_line(worker: str) -> None:
    unknown = await headrace("providers", "drain", "http://nowhere.example/v1", "--worker", worker)
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)
    assert "there is no endpoint http://nowhere.example/v1; there are http://127.0.0.1" in unknown.err
    nobody = await headrace("providers", "list", "--worker", f"127.0.0.1:{free_port()}")
    assert (nobody.code, nobody.err.count("\n")) == (2, 1)
    assert "no worker answers at" in nobody.err


async def test_an_action_takes_json_only(worker: str, simulator: ProviderSim) -> None:
    body = orjson.dumps({"endpoint": simulator.url, "draining": True})
    async with aiohttp.ClientSession() as session:
        for kind, status in (("text/plain", 403), ("application/json", 200)):
            async with session.post(
                f"http://{worker}/providers/drain", data=body, headers={"content-type": kind}
            ) as found:
                assert found.status == status
