"""A front that other commands start: `headrace up --front` and `headrace demo --front`."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment, headrace_command
from tests.support.control_room import free_port
from tests.support.no_fleet import wait_no_fleet
from tests.support.pipeline import Pipeline

CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


async def answered(url: str, within_s: float) -> int:
    """The status of a chat, once somebody listens there and the fleet answers."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(within_s):
        while True:
            try:
                async with http.post(f"{url}/v1/chat/completions", json=CHAT) as answer:
                    if answer.status == 200:
                        return answer.status
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def test_a_fleet_with_a_front_answers_http_clients_and_ends_in_order(pipeline: Pipeline, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = pipeline.settings(front__listen=url.removeprefix("http://"))
    command = headrace_command("up", "--front", "--workers", "1", "--controls", "0", "--settings", str(settings))
    up = ChildProcess(command, tmp_path / "up.log", clean_environment({"HEADRACE_LOGGING__FORMAT": "json"}))
    try:
        assert await answered(url, 60) == 200
        async with aiohttp.ClientSession() as http:
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
                async with http.get(url + path) as answer:
                    assert answer.status == 200, path
            async with http.get(f"{url}/metrics") as answer:
                assert 'headrace_front_http_responses_total{api="openai",status="2xx"}' in await answer.text()
    finally:
        await asyncio.to_thread(up.stop, 40)
    assert up.exit_code == 0
    assert '"process":"f0"' in up.log_text()


@pytest.mark.long
async def test_a_demo_with_a_front_serves_a_client_of_ones_own(pipeline: Pipeline, tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    servers = pipeline.broker.bootstrap_servers
    await wait_no_fleet(pipeline)
    command = headrace_command(
        "demo", "--front", "--seconds", "60", "--rate", "1", "--workers", "1", "--broker", servers
    )
    demo = ChildProcess(command, tmp_path / "demo.log", clean_environment({"HEADRACE_FRONT__LISTEN": listen}))
    try:
        assert await answered(f"http://{listen}", 60) == 200
        assert re.search(rf"front: http://{listen}/v1", demo.log_text())
    finally:
        await asyncio.to_thread(demo.stop, 30)
