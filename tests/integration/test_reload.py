"""A fleet whose settings change under load: nothing is lost, nothing is paid twice, nobody restarts, and the new limit holds."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import orjson

from ops.processes.fleet import Fleet, WorkerProcess
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request, send_steadily, wait_until
from tests.support.scaling import wait_decision

PRICE = """
[[prices]]
model = "*"
input = "1"
output = "7"
"""
WINDOW_S = 2.0
IN_FORCE_WITHIN_S = 2.0
SECONDS = 16
PER_SECOND = 30
WRONG = "the settings are wrong and not taken, those before stay"
CHANGED = "a setting has changed"


def limited(pipeline: Pipeline, per_minute: int, hosts: Sequence[str] = ("127.0.0.1",)) -> str:
    """The settings file's text with this limit, and an endpoint for each of these names of the simulator's host; a window of
    2 s, so that the limit is seen to hold within a test.
    """
    url = pipeline.simulator.url
    endpoints = ", ".join(
        f'{{ name = "{host}", url = "{url.replace("127.0.0.1", host)}", weight = {number + 1} }}'
        for number, host in enumerate(hosts)
    )
    path = pipeline.settings(limits__window="2s", limits__lease="1s", limits__margin="100ms")
    return (
        path.read_text()
        .replace(
            'rate_limit = { requests = "unlimited", tokens = "unlimited" }',
            f'rate_limit = {{ requests = "{per_minute}/minute", tokens = "unlimited" }}',
        )
        .replace(f'endpoints = [{{ url = "{url}" }}]', f"endpoints = [{endpoints}]")
    )


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def hang_up(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        worker.signal(signal.SIGHUP)


def events(worker: WorkerProcess, name: str) -> list[dict[str, object]]:
    lines = (orjson.loads(line) for line in worker.log_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]


async def is_told(worker: WorkerProcess, event: str, count: int) -> bool:
    return len(events(worker, event)) >= count


def most_in_a_window(times: Sequence[float]) -> int:
    return max((sum(start <= at < start + WINDOW_S for at in times) for start in times), default=0)


async def test_limits_and_endpoints_that_change_under_load_hold_within_two_seconds_and_cost_no_request(
    pipeline: Pipeline,
) -> None:
    """Every 4 s another limit and other endpoints, and in between SIGHUPs, a broken file, a file that is emptied, and a log that
    is moved away.
    """
    high, low = 3000, 300  # in a window of 2 s: 100 calls, more than come; 10 calls, fewer than come
    path = pipeline.directory / "headrace.toml"
    replace(path, limited(pipeline, high))
    written: list[float] = []
    changed: list[tuple[float, int]] = []
    """When a limit was read, at the latest, and what it is."""
    async with Fleet(path, pipeline.directory) as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        pids = [worker.pid for worker in fleet.workers]
        values = [request(f"r{number}", latency_ms=20) for number in range(SECONDS * PER_SECOND)]
        sending = asyncio.create_task(send_steadily(traffic, values, PER_SECOND))
        for per_minute, hosts in (
            (low, ("127.0.0.1", "localhost")),
            (high, ("localhost",)),
            (low, ("localhost", "127.0.0.1")),
        ):
            await asyncio.sleep(1.0)
            for wrong in ("providers = [", ""):
                told = len(events(fleet.workers[1], WRONG))
                replace(path, wrong)
                hang_up(fleet.workers)
                await wait_until(partial(is_told, fleet.workers[1], WRONG, told + 1), 60)
            log = fleet.workers[0].log_file
            log.replace(log.with_suffix(".1"))
            told = len(events(fleet.workers[1], CHANGED))
            written.append(time.time())
            replace(path, limited(pipeline, per_minute, hosts))
            hang_up(fleet.workers)
            hang_up(fleet.workers)
            await wait_until(partial(is_told, fleet.workers[1], CHANGED, told + 1), 60)
            changed.append((time.time(), per_minute))
            await asyncio.sleep(2.0)
        await sending
        written.append(time.time())
        changed.append((time.time(), high))
        replace(path, limited(pipeline, high, ("127.0.0.1",)) + PRICE)  # without a signal: the file alone

        async def all_is_answered() -> bool:
            return traffic.open == 0

        await wait_until(all_is_answered, 60)
        await pipeline.wait_all_committed(60)
        assert [worker.pid for worker in fleet.workers] == pids
        assert all(worker.alive for worker in fleet.workers)
        assert fleet.workers[0].log_file.exists(), "a log that was moved away is made anew"
        taken = events(fleet.workers[1], CHANGED)
        rates = [line["now"] for line in taken if "rate_limit" in str(line["setting"])]
        assert rates == ["300/minute", "3000/minute", "300/minute", "3000/minute"]
        left = [line["endpoint"] for line in events(fleet.workers[1], "an endpoint leaves")]
        assert left == ["127.0.0.1", "localhost"]
        assert not events(fleet.workers[1], "a setting has changed and needs a restart")
        assert ("prices[0].output", "7") in {(line["setting"], line["now"]) for line in taken}
        await traffic.send("normal", "priced", request("priced", latency_ms=20))
        await wait_until(all_is_answered, 60)
        priced = await headrace("trace", "priced", "--json", "--settings", str(path))
        assert orjson.loads(priced.out)["cost"]["amount"] == "0.00006", "4 tokens at 1, 8 at 7 USD a million"

    calls = [call for call in pipeline.simulator.calls() if call.request_id != "priced"]
    twice = {request_id: count for request_id, count in Counter(call.request_id for call in calls).items() if count > 1}
    assert not twice, "paid twice"
    assert len(calls) == len(values), "lost"
    answers = await pipeline.answered_at_ms()
    assert len(answers) == len(values) + 1
    ends = [*written[1:], time.time()]
    for (at, per_minute), until in zip(changed, ends, strict=True):
        times = [call.arrived_at for call in calls if at + IN_FORCE_WITHIN_S <= call.arrived_at < until]
        assert most_in_a_window(times) <= per_minute / 60 * WINDOW_S
    raised, until = changed[1][0], written[2]
    assert sum(raised <= call.arrived_at < raised + IN_FORCE_WITHIN_S for call in calls) > 20, "the raise came late"
    assert until > raised


async def test_no_process_of_a_fleet_ends_by_a_hangup(pipeline: Pipeline) -> None:
    """Worker, control, front and control room; at any moment of their start, too."""
    path = pipeline.settings(
        ui__path=str(pipeline.directory / "ui"), front__listen="127.0.0.1:0", ui__listen="127.0.0.1:0"
    )
    folder = pipeline.directory
    processes = [
        WorkerProcess(command, path, folder / f"{command}.log", command=command)
        for command in ("worker", "control", "front", "ui")
    ]
    try:
        await asyncio.sleep(1.0)
        for _ in range(20):
            hang_up(processes)
            await asyncio.sleep(0.1)
        for process in processes:
            await process.wait_ready()
        changed = 'logging.level = "debug"\nscaling.limits.min = 4\n[[providers]]'
        replace(path, path.read_text().replace("[[providers]]", changed))
        hang_up(processes)

        async def all_have_read() -> bool:
            return all(events(process, "settings read again") for process in processes)

        await wait_until(all_have_read, 60)
        await wait_decision(pipeline, lambda each: each.workers_wanted == 4, 60)  # by the new bounds, at once
        assert all(process.alive for process in processes)
    finally:
        await asyncio.gather(*(process.stop() for process in processes))
    assert [process.exit_code for process in processes] == [0, 0, 0, 0]
