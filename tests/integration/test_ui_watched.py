"""Fifty browsers watch a fleet under load: the worker does not notice, and the control room takes under half a core.

Pages of others that ask too much: one that polls while it is paused or hidden (riverqueue/riverui#584), 51 requests for one page
of logs (BerriAI/litellm#20401).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import psutil
import pytest

from ops.processes.fleet import WorkerProcess
from tests.support.control_room import free_port
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, request, send_steadily

BROWSERS: Final = 50
SECONDS: Final = 8.0
PAGES: Final = ("/", "/queues", "/dead-letters", "/limits", "/providers", "/scaling", "/requests?status=error")


def cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


async def watch(http: aiohttp.ClientSession, page: str, counts: Counter[str]) -> None:
    """As the script of the pages does it: one stream of events, and the page again at each."""
    async with http.get("/events") as stream:
        assert stream.status == 200
        counts["streams"] += 1
        async for line in stream.content:
            if line.startswith(b"event: changed"):
                async with http.get(page, headers={"HX-Request": "true", "Accept": "text/html"}) as answer:
                    await answer.read()
                    counts[str(answer.status)] += 1


@pytest.mark.alone
async def test_fifty_browsers_cost_the_workers_nothing_and_the_control_room_half_a_core(
    pipeline: Pipeline, tmp_path: Path, measured: Measured
) -> None:
    listen = f"127.0.0.1:{free_port()}"
    changed = {"ui__listen": listen, "ui__path": str(tmp_path / "ui"), "metrics__interval": "1s"}
    counts: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(pipeline.fleet(**changed))
        traffic = await stack.enter_async_context(pipeline.traffic())
        await fleet.start(1)
        worker = fleet.workers[0].pid
        room = WorkerProcess("ui", tmp_path / "headrace.toml", tmp_path / "ui.log", command="ui")
        stack.push_async_callback(room.stop, 10)
        await room.wait_ready(60)
        values = [request(f"seen-{number}") for number in range(round((2 * SECONDS + 8) * 20))]
        sending = asyncio.create_task(send_steadily(traffic, values, 20))
        await asyncio.sleep(2)
        alone_worker, alone_room = cpu_s(worker), cpu_s(room.pid)
        await asyncio.sleep(SECONDS)
        alone_worker, alone_room = cpu_s(worker) - alone_worker, cpu_s(room.pid) - alone_room
        connector = aiohttp.TCPConnector(limit=3 * BROWSERS)
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://{listen}", connector=connector))
        watching = [asyncio.create_task(watch(http, PAGES[number % len(PAGES)], counts)) for number in range(BROWSERS)]
        async with asyncio.timeout(20):
            while counts["streams"] < BROWSERS:  # noqa: ASYNC110 - counted here alone
                await asyncio.sleep(0.05)
        watched_worker, watched_room = cpu_s(worker), cpu_s(room.pid)
        await asyncio.sleep(SECONDS)
        watched_worker, watched_room = cpu_s(worker) - watched_worker, cpu_s(room.pid) - watched_room
        assert not any(each.done() for each in watching)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await sending
    measured(
        f"{BROWSERS} browsers, {SECONDS:g} s: worker {alone_worker / SECONDS:.3f} -> {watched_worker / SECONDS:.3f} cores, "
        f"control room {alone_room / SECONDS:.3f} -> {watched_room / SECONDS:.3f} cores, {dict(counts)}"
    )
    assert counts["200"] > BROWSERS, "each has seen something new"
    assert set(counts) == {"streams", "200"}
    assert watched_room / SECONDS < 0.5
    assert watched_worker < 1.25 * alone_worker + 0.03 * SECONDS
