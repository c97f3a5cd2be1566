"""`headrace up`: a fleet that keeps itself."""

import asyncio
import os
import signal
import urllib.request
from typing import Any

import orjson
import pytest

from ops.processes.fleet import WorkerProcess
from tests.support.fixtures import FULL
from tests.support.pipeline import Pipeline, request, wait_until

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.skipif(
        not FULL, reason="test_scaling.py brings a fleet up, kills a worker and drains; TEST_FULL=1 runs it"
    ),
]


async def _children(http: str) -> dict[str, str]:
    """Addresses of the ready processes, by name; the supervisor, which lists itself too, is no child."""

    def get() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://{http}/workers", timeout=5) as response:
            found: list[dict[str, Any]] = orjson.loads(response.read())
            return found

    listed = await asyncio.to_thread(get)
    assert [each["targets"] for each in listed if each["labels"]["job"] == "headrace-supervisor"] == [[http]]
    return {
        each["labels"]["process"]: each["targets"][0]
        for each in listed
        if each["labels"]["job"] != "headrace-supervisor"
    }


async def test_a_fleet_comes_up_replaces_a_worker_that_dies_and_drains_at_the_end(pipeline: Pipeline) -> None:
    settings = pipeline.settings(scaling__limits__min=2, kafka__session_timeout="3s")
    up = WorkerProcess("up", settings, pipeline.directory / "up.log", command="up")
    try:
        await wait_until(lambda: _said(up, "supervising"), 60)
        http = _event(up, "supervising")["http"]

        async def are_ready(*names: str) -> bool:
            return set(await _children(http)) == set(names)

        await wait_until(lambda: are_ready("w0", "w1", "c0"), 60)
        await pipeline.wait_members(2, 60)
        os.kill(_pid(up, "w0"), signal.SIGKILL)
        await wait_until(lambda: _said(up, "ended by itself, starting it anew"), 60)
        await wait_until(lambda: are_ready("w0", "w1", "c0"), 60)
        async with pipeline.traffic() as traffic:
            await traffic.send("normal", "agent-1", request("while it drains", latency_ms=500))
            await pipeline.simulator.wait_in_flight(1)
            up.signal(signal.SIGTERM)
            assert await up.wait_ended(25)
            assert up.exit_code == 0
            assert await traffic.wait_answered(60)
        assert up.log_text().count("drained and gone") + up.log_text().count('"stopped"') >= 1
        assert not await pipeline.unfinished()
    finally:
        up.kill()


async def test_workers_that_do_not_start_are_given_up_loudly(pipeline: Pipeline) -> None:
    (pipeline.directory / "cache").write_text("a file where the store wants a folder")
    settings = pipeline.settings(scaling__limits__min=1, supervisor__give_up_after=2, supervisor__first_pause="100ms")
    up = WorkerProcess("up", settings, pipeline.directory / "up.log", command="up")
    try:
        assert await up.wait_ended(60)
        assert up.exit_code == 2
        said = up.log_text()
        assert "GIVEN UP: it does not start" in said
        assert "no worker process can be kept running: see the log files in" in said.splitlines()[-1]
    finally:
        up.kill()


async def test_of_two_supervisors_one_stands_by_and_takes_over(pipeline: Pipeline) -> None:
    settings = pipeline.settings(scaling__limits__min=2, kafka__session_timeout="3s")
    first = WorkerProcess("first", settings, pipeline.directory / "first.log", command="up")
    second: WorkerProcess | None = None
    try:
        await wait_until(lambda: _said(first, "supervising"), 60)
        await pipeline.wait_members(2, 60)
        second = WorkerProcess("second", settings, pipeline.directory / "second.log", command="up")
        await wait_until(lambda: _said(second, "another supervisor keeps this fleet's workers, standing by"), 60)
        before = await pipeline.wait_members(2, 60)
        assert "w0" not in await _children(_event(second, "supervising")["http"])
        first.kill()  # and its workers with it

        async def others_are_there() -> bool:
            members = await pipeline.assignment()
            children = await _children(_event(second, "supervising")["http"])
            return len(members) == 2 and not set(members) & set(before) and {"w0", "w1"} <= set(children)

        await wait_until(others_are_there, 60)
    finally:
        first.kill()
        if second is not None:
            second.kill()


async def _said(process: WorkerProcess, event: str) -> bool:
    return f'"event":"{event}"' in process.log_text()


def _event(process: WorkerProcess, event: str) -> dict[str, Any]:
    """The newest line of an event."""
    lines = [line for line in process.log_text().splitlines() if f'"event":"{event}"' in line]
    found: dict[str, Any] = orjson.loads(lines[-1])
    return found


def _pid(process: WorkerProcess, name: str) -> int:
    started = [orjson.loads(line) for line in process.log_text().splitlines() if '"event":"starting"' in line]
    return int(next(line["pid"] for line in reversed(started) if line["process"] == name))
