"""`headrace agents top` against a worker's HTTP server, with a real dispatch behind it."""

from __future__ import annotations

import time

import orjson

from ops.processes.health import serve_health
from streams.flow.dispatch import Dispatch
from tests.support.cli import headrace
from tests.support.requests import pending, rules
from tests.unit.flow.test_dispatch import Answered, HandledProviders


async def test_the_busiest_agents_are_shown_with_what_they_use() -> None:
    providers, answered = HandledProviders(small=3), Answered()
    dispatch = Dispatch(rules(), providers, answered, lambda: 1000.0, time.monotonic)
    async with serve_health("127.0.0.1:0", lambda: True, {"/agents": lambda: dispatch.stats(20)}) as address:
        dispatch.accept([pending(agent="noisy") for _ in range(5)])
        dispatch.accept([pending(agent="quiet")])
        await providers.wait_started(3)
        shown = await headrace("agents", "top", "--worker", address, "--json")
        table = await headrace("agents", "top", "--worker", address, "--once")
    await dispatch.stop()
    found = orjson.loads(shown.out)
    assert found["waiting"] == {"high": 0, "normal": 3, "low": 0}
    assert (found["in_flight"], found["agents_known"]) == (3, 2)
    assert [(agent["agent_id"], agent["waiting"], agent["in_flight"], agent["bytes"]) for agent in found["agents"]] == [
        ("noisy", 2, 3, 2500),
        ("quiet", 1, 0, 500),
    ]
    assert "noisy" in table.out


async def test_without_a_worker_it_says_so_in_one_line() -> None:
    shown = await headrace("agents", "top", "--worker", "127.0.0.1:1", "--once")
    assert shown.code == 2
    assert shown.err.startswith("headrace: no worker answers at 127.0.0.1:1")
