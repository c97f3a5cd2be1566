"""Ten tasks of a platform engineer's first week on a real fleet: at most three commands and three minutes each. Those of the
tutorials are read from their pages, so that what the pages say works.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.processes.fleet import Fleet, WorkerProcess, clean_environment
from tests.support.charts import ROOT
from tests.support.money import with_money
from tests.support.pipeline import Pipeline, request, send_steadily, wait_until
from tests.support.processes import running

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WITHIN_S = 60.0
MOST_COMMANDS = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do. `script`: shell lines, or the tutorial that has them; `says`: what has to be in the output."""

    name: str
    script: str
    says: tuple[str, ...] = ()


def tutorial(page: str) -> str:
    text = (ROOT / "docs" / "tutorials" / page).read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).strip()


TASKS = (
    Task("connect", "headrace config check --connect\nheadrace status", ("the broker takes a worker", "ok")),
    Task("two keys", tutorial("two-keys.md"), ("key-a", "key-b", "healthy")),
    Task("who burns the tokens", "headrace cost --by agent --since 1h\nheadrace agents top --once", ("busy",)),
    Task("why it failed", tutorial("failed-request.md"), ("order-17", "400")),
    Task("dead letters again", "headrace redrive --since 1h\nheadrace redrive --since 1h --yes --wait 30s", ("1",)),
    Task(
        "maintenance of a provider",
        "headrace drain key-b --reason maintenance\nheadrace providers list\nheadrace drain key-b --undo",
        ("draining",),
    ),
    Task("change a limit", tutorial("change-a-limit.md"), ("nothing differs",)),
    Task("roll out", tutorial("roll-out.md")),
    Task(
        "what it costs", "headrace cost --by model --since 1h\nheadrace cost --by provider --since 1h", ("small", "sim")
    ),
    Task("a budget", tutorial("budget-alert.md"), ("agent/team-*/day", "team-1")),
)


def fleet_settings(pipeline: Pipeline) -> Path:
    pipeline.provider["retry.dead_letter"] = True
    path = pipeline.settings(
        metrics__interval="1s", metrics__aggregation="2s", metrics__grace="1s", front__listen="127.0.0.1:9"
    )
    url = pipeline.simulator.url
    endpoints = ", ".join(f'{{ name = "{name}", url = "{url}" }}' for name in ("key-a", "key-b"))
    text = path.read_text().replace(f'endpoints = [{{ url = "{url}" }}]', f"endpoints = [{endpoints}]")
    path.write_text(text.replace('requests = "unlimited"', 'requests = "6000/minute"'))
    budget = {"scope": "agent", "name": "team-*", "period": "day", "amount": "30"}
    return with_money(path, [budget])


async def do(task: Task, environ: dict[str, str], folder: Path, groups: list[int]) -> tuple[float, str]:
    """Run the lines in one shell, as somebody types them; how long they took, and what they said. What goes on is in `groups`."""
    began = time.monotonic()
    async with running(
        "sh", "-c", task.script, env=environ, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
    ) as shell:
        groups.append(shell.pid)
        said, _ = await asyncio.wait_for(shell.communicate(), WITHIN_S)
    return time.monotonic() - began, said.decode()


async def test_each_task_takes_at_most_three_commands_and_three_minutes_and_costs_no_request(
    pipeline: Pipeline,
) -> None:
    path, folder = fleet_settings(pipeline), pipeline.directory
    shim = folder / "bin" / "headrace"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c "from ops.cli import main; main()" "$@"\n')
    shim.chmod(0o755)
    control = WorkerProcess("control", path, folder / "control.log", command="control")
    faults = []
    groups: list[int] = []
    try:
        async with Fleet(path, folder) as fleet, pipeline.traffic() as traffic:
            await fleet.start(2, ready_within_s=120)
            await control.wait_ready(120)
            values = [{**request(f"r{number}"), "agent_id": "busy"} for number in range(2000)]
            for number in range(10):
                await traffic.send("high", "team-1", request(f"t{number}"))
            sending = asyncio.create_task(send_steadily(traffic, values, 10))
            environ = clean_environment({
                "PATH": f"{shim.parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HEADRACE_LOGGING__FORMAT": "json",
                "WORKER": fleet.workers[0].http or "", "OLD_WORKER": str(fleet.workers[1].pid),
            })  # fmt: skip
            await asyncio.sleep(5)
            for task in TASKS:
                took_s, said = await do(task, environ, folder, groups)
                commands = len(
                    [line for line in task.script.splitlines() if line and not line.startswith(("sleep", "until"))]
                )
                sys.stdout.write(f"{task.name:<28} {commands} commands  {took_s:5.1f} s\n")
                sys.stdout.flush()
                missing = [words for words in task.says if words not in said]
                if missing or "Traceback" in said or commands > MOST_COMMANDS or took_s > WITHIN_S:
                    faults.append(f"{task.name}: lacks {missing}, {commands} commands, {took_s:.1f} s:\n{said[-1500:]}")
            assert await fleet.workers[1].wait_ended(30)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

            async def all_is_answered() -> bool:
                return traffic.open == 0

            await wait_until(all_is_answered, 60)
            summary = traffic.ledger.summary()
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
        await control.stop()
    assert not faults, "\n\n".join(faults)
    assert summary.lost == 0, summary
