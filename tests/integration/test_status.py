"""`headrace status`, `agents top` and `providers list` over a real fleet, without an address."""

from __future__ import annotations

import asyncio
import re

import orjson

from ops.processes.fleet import WorkerProcess
from tests.support.cli import headrace
from tests.support.pipeline import PARTITIONS, Pipeline, request, wait_until


async def test_a_fleet_is_found_by_its_own_samples_and_its_state_is_an_exit_code(pipeline: Pipeline) -> None:
    path = pipeline.settings(
        metrics__interval="1s", metrics__aggregation="2s", front__listen="127.0.0.1:9", metrics__grace="1s"
    )
    text = path.read_text().replace(
        f'endpoints = [{{ url = "{pipeline.simulator.url}" }}]',
        f'endpoints = [{{ name = "key-a", url = "{pipeline.simulator.url}" }}, '
        f'{{ name = "key-b", url = "{pipeline.simulator.url}" }}]',
    )
    path.write_text(text)
    given = ("--settings", str(path))
    idle = await headrace("status", *given)
    assert idle.code == 1
    assert "none has sent a sample" in idle.out
    folder = pipeline.directory
    processes = [
        WorkerProcess(name, path, folder / f"{name}.log", command=command)
        for name, command in (("w0", "worker"), ("w1", "worker"), ("c0", "control"))
    ]
    try:
        for process in processes:
            await process.wait_ready()
        await pipeline.wait_members(2, 60)
        async with pipeline.traffic() as traffic:
            for number in range(4):
                await traffic.send("normal", "busy", request(f"r{number}", latency_ms=8000))

            async def is_well() -> bool:
                return (await headrace("status", *given)).code == 0

            await wait_until(is_well, 60)
            status = await headrace("status", *given, "--json")
            top = await headrace("agents", "top", "--json", *given)
            listed = await headrace("providers", "list", "--json", *given)
            shown = await headrace("status", "-v", *given)
        assert orjson.loads(status.out)["state"] == "ok"
        assert f"2, {PARTITIONS} of {PARTITIONS} partitions" in status.out or "of 2 wanted" in status.out
        assert [agent["agent_id"] for agent in orjson.loads(top.out)["agents"]] == ["busy"]
        endpoints = orjson.loads(listed.out)
        assert [(each["name"], each["states"]) for each in endpoints] == [
            ("key-a", {"healthy": 2}),
            ("key-b", {"healthy": 2}),
        ]
        assert max(map(len, shown.out.splitlines())) <= 60
        assert not re.search(r"\x1b", shown.out)
    finally:
        await asyncio.gather(*(process.stop() for process in processes))


async def test_without_a_broker_nothing_can_be_said() -> None:
    shown = await headrace("status", servers="127.0.0.1:1")
    assert shown.code == 2
    assert "nobody listens" in shown.out
