"""A front under requests that mean harm: no 500, no leak, no restart, and honest callers served beside them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.integration.test_front import Fronts, fronts
from tests.support.hostile_http import attack, leave_open
from tests.support.pipeline import Pipeline

_CLIENTS_OF_KAFKA = 20
"""Files that connections to brokers come and go with; a leak would be of thousands."""
CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


@asynccontextmanager
async def honest_beside(url: str, taken_s: list[float]) -> AsyncIterator[None]:
    """An honest caller, ten times a second, while the block runs; every call must be answered."""

    async def call() -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                async with http.post(f"{url}/v1/chat/completions", json=CHAT) as answer:
                    assert answer.status == 200
                taken_s.append(time.monotonic() - began)
                await asyncio.sleep(0.1)

    calling = asyncio.create_task(call())
    try:
        yield
    finally:
        assert not calling.done(), calling.exception()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)


async def withstand(serving: Fronts, count: int) -> tuple[Counter[str], list[float], int, int]:
    """Statuses, times of honest calls, and by how many bytes and files the front has grown over the second half."""
    url = serving.urls[0]
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    process = psutil.Process(serving.processes[0].pid)
    taken_s: list[float] = []
    left = await leave_open(host, port, 200, lambda number: b"GET /v1/models HTTP/1.1\r\nx: " if number % 2 else b"")
    async with honest_beside(url, taken_s):
        statuses = await attack(host, port, count // 2, seed=1)
        rss, files = process.memory_info().rss, process.num_fds()
        statuses += await attack(host, port, count - count // 2, seed=2)
    for writer in left:
        writer.transport.abort()
    async with asyncio.timeout(30):
        while process.num_fds() > files + _CLIENTS_OF_KAFKA:  # noqa: ASYNC110 - another process' files
            await asyncio.sleep(0.1)
    return statuses, sorted(taken_s), process.memory_info().rss - rss, process.num_fds() - files


def bad(statuses: Counter[str]) -> dict[str, int]:
    """Faults of the front's own; 501 says what is not served, 503 and 504 tell of the fleet, 505 of HTTP versions."""
    return {status: count for status, count in statuses.items() if status in ("500", "502")}


async def test_a_few_thousand_hostile_requests_are_no_fault_of_the_front_and_harm_nobody(pipeline: Pipeline) -> None:
    async with fronts(
        pipeline, front__header_timeout="1s", front__body_timeout="2s", front__max_connections=150
    ) as serving:
        statuses, taken_s, grown, files = await withstand(serving, 3000)
        assert serving.processes[0].alive
        log = serving.processes[0].log_text()
    assert bad(statuses) == {}
    assert statuses["400"] > 300
    assert len(taken_s) > 5
    assert files <= _CLIENTS_OF_KAFKA
    assert grown < 60_000_000
    assert '"level":"error"' not in log
    assert '"level":"critical"' not in log


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_hostile_requests_by_the_thousand_leak_nothing(pipeline: Pipeline) -> None:
    async with fronts(
        pipeline, front__header_timeout="1s", front__body_timeout="2s", front__max_connections=500
    ) as serving:
        statuses, taken_s, grown, files = await withstand(
            serving, 100_000 if os.environ.get("TEST_FULL") == "1" else 10_000
        )
        assert serving.processes[0].alive
    p99_s = taken_s[int(len(taken_s) * 0.99)]
    print(f"statuses {dict(statuses)}; honest p99 {p99_s:.3f} s of {len(taken_s)}; grown {grown} bytes")  # noqa: T201
    assert bad(statuses) == {}
    assert files <= _CLIENTS_OF_KAFKA
    assert grown < 20_000_000
    assert p99_s < 1.0
