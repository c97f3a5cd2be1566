"""Calls to an upstream as fast as they come back, so many at a time; in a process of its own.

    python -m ops.bench.calls CLIENT URL CONCURRENCY SECONDS [--settings FILE] [--pid PID] [--key-file FILE]

CLIENT is `headrace` (the worker's provider path: reserve, call, release, with FILE's provider) or `aiohttp` (a bare session,
the limit; also the load on a proxy). The CPU is this process's, or with PID that of the process tree that it loads.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import psutil

from ops.bench.figures import quantiles
from ops.bench.meter import say_result
from ops.bench.work import Load
from schemas.request import Request
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.settings import load_settings
from topics.names import RESPONSES

Call = Callable[[], Awaitable[bool]]

_WARM_UP_S: Final = 2.0
_REQUEST: Final = Request.model_validate_json(Load(1).request(0)[2])


class _Nobody:
    """The records of these calls: there are none."""

    live = True

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None: ...


@asynccontextmanager
async def provider_path(settings_file: Path) -> AsyncIterator[Call]:
    """What the worker does for a miss, from the reserved slot to the outcome."""
    async with AsyncExitStack() as stack:
        providers = await open_providers(load_settings(settings_file), stack)

        async def call() -> bool:
            now = time.time()
            request = PendingRequest(
                request=_REQUEST,
                request_id="bench",
                agent_id="agent-0",
                priority="normal",
                source=_Nobody(),
                index=0,
                event_id=b"bench",
                received_at=now,
                dispatch_by=now + 60,
                expires_at=None,
                reply_topic=RESPONSES,
            )
            route = providers.route(request)
            if isinstance(route, Outcome):
                return False
            request.route = route
            slot = providers.reserve(request)
            if isinstance(slot, Busy | Outcome):
                return False
            try:
                return (await slot.call(request)).status == "ok"
            finally:
                slot.release()

        yield call


@asynccontextmanager
async def bare(url: str, key: str) -> AsyncIterator[Call]:
    """An aiohttp session and nothing else."""
    body = orjson.dumps(_REQUEST.payload)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> bool:
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                orjson.loads(await response.read())
                return response.status == 200

        yield call


async def closed_loop(call: Call, concurrency: int, seconds: float, cpu_s: Callable[[], float]) -> dict[str, Any]:
    """So many callers, each calling again at once, for `seconds` after a warm-up."""
    took_ms: list[float] = []
    failed = 0
    measuring = stopping = False

    async def caller() -> None:
        nonlocal failed
        while not stopping:
            began = time.perf_counter()
            ok = await call()
            if measuring and ok:
                took_ms.append((time.perf_counter() - began) * 1000)
            elif not ok:
                failed += 1
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(caller()) for _ in range(concurrency)]
    await asyncio.sleep(_WARM_UP_S)
    measuring, cpu_before_s, began = True, cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    measuring, lasted_s, used_s = False, time.perf_counter() - began, cpu_s() - cpu_before_s
    stopping = True
    await asyncio.gather(*callers)
    return {
        "calls": len(took_ms),
        "failed": failed,
        "rate": round(len(took_ms) / lasted_s, 1),
        "cpu_ms": round(used_s / max(1, len(took_ms)) * 1000, 3),
        "ms": quantiles(took_ms),
    }


def tree_cpu_s(pid: int) -> float:
    """CPU of a process and its children, in seconds."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in [process, *process.children(recursive=True)]]
    return float(sum(each.user + each.system for each in times))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=["headrace", "aiohttp"])
    parser.add_argument("url")
    parser.add_argument("concurrency", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--key-file", type=Path)
    given = parser.parse_args()
    key = given.key_file.read_text() if given.key_file else "none"
    cpu_s = time.process_time if given.pid is None else lambda: tree_cpu_s(given.pid)
    async with provider_path(given.settings) if given.client == "headrace" else bare(given.url, key) as call:
        say_result(await closed_loop(call, given.concurrency, given.seconds, cpu_s))


if __name__ == "__main__":
    asyncio.run(main())
