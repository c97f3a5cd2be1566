"""`headrace demo`, short, as a user runs it."""

import asyncio
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import orjson
import psutil
import pytest

from ops.processes.fleet import clean_environment, headrace_command
from tests.support.cli import headrace
from tests.support.no_fleet import wait_no_fleet
from tests.support.pipeline import Pipeline
from tests.support.processes import heeds_interrupts, running

WITHIN_S = 60.0
"""A limit; the demo is interrupted at its first request."""


@pytest.mark.long
async def test_on_a_broker_of_yours_nothing_is_lost_and_every_worker_tells_its_share(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    result = tmp_path / "demo.json"
    servers = pipeline.broker.bootstrap_servers
    await wait_no_fleet(pipeline)
    called = await headrace(
        *("demo", "--seconds", "3", "--rate", "20", "--workers", "2", "--json", str(result)),
        servers=servers,
        cwd=tmp_path,
    )
    assert called.code == 0, called.err
    found = orjson.loads(result.read_bytes())
    assert (found["sent"], found["answered"], found["ok"], found["lost"]) == (60, 60, 60, 0)
    assert (found["duplicates"], found["dead"], found["interrupted"], found["broker"]) == (0, 0, False, "yours")
    assert found["w0_responses"] + found["w1_responses"] == 60
    assert f"broker: yours at {servers}" in called.out


async def test_it_refuses_a_broker_on_which_a_fleet_runs(pipeline: Pipeline, tmp_path: Path) -> None:
    async with pipeline.fleet() as fleet:
        await fleet.start(1)
        called = await headrace("demo", "--broker", pipeline.broker.bootstrap_servers, cwd=tmp_path)
    assert called.code == 2
    assert f"workers of the group {pipeline.group_id} run on this broker" in called.err


@pytest.mark.long
async def test_what_was_there_before_is_not_answered_by_the_demo(pipeline: Pipeline, tmp_path: Path) -> None:
    before = await headrace("send", "hi", "--no-wait", servers=pipeline.broker.bootstrap_servers, cwd=tmp_path)
    assert before.code == 0
    await wait_no_fleet(pipeline)
    called = await headrace(
        *("demo", "--seconds", "2", "--rate", "5", "--workers", "1", "--json", "-"),
        servers=pipeline.broker.bootstrap_servers,
        cwd=tmp_path,
    )
    found = orjson.loads(called.out)
    assert (called.code, found["sent"], found["w0_responses"]) == (0, 10, 10)


@pytest.mark.long
async def test_interrupted_it_says_what_was_done_and_leaves_no_process(pipeline: Pipeline, tmp_path: Path) -> None:
    servers = pipeline.broker.bootstrap_servers
    await wait_no_fleet(pipeline)
    # Nothing of this process decides whether Ctrl-C reaches the demo: a shell's background jobs ignore it.
    async with running(
        *headrace_command("demo", "--seconds", "60", "--broker", servers),
        stdout=PIPE,
        env=clean_environment(),
        cwd=tmp_path,
        preexec_fn=heeds_interrupts,
    ) as process:
        assert process.stdout is not None
        out = ""
        async with asyncio.timeout(WITHIN_S):
            while "  sent " not in out:
                line = (await process.stdout.readline()).decode()
                assert line, f"the demo ended by itself: {out}"
                out += line
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) == 3
            process.send_signal(signal.SIGINT)
            out += (await process.stdout.read()).decode()
            assert await process.wait() == 130
    assert "Interrupted" in out
    assert not any(child.is_running() for child in children)


async def test_a_broker_that_does_not_answer_or_is_none_is_one_line(tmp_path: Path) -> None:
    for broker, said in (
        ("127.0.0.1:1", "no Kafka broker answers at 127.0.0.1:1"),
        ("kafka", "unknown broker 'kafka'"),
    ):
        called = await headrace("demo", "--broker", broker, cwd=tmp_path)
        assert (called.code, len(called.err.splitlines())) == (2, 1)
        assert said in called.err
