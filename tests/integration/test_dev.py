"""`headrace dev` as a user runs it: what it prints works as it stands, and Ctrl-C ends all of it."""

from __future__ import annotations

import asyncio
import re
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import orjson
import pytest

from ops.brokers.embedded import missing
from ops.processes.fleet import clean_environment, headrace_command
from tests.support.processes import heeds_interrupts, running

WITHIN_S = 90.0


@pytest.mark.long
@pytest.mark.skipif(missing() is not None, reason="the embedded broker is not installed")
async def test_what_it_prints_works_as_it_stands_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    environment = clean_environment({"TMPDIR": str(tmp_path)})
    async with running(
        *headrace_command("dev", "--broker", "embedded"),
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
        cwd=tmp_path,
        preexec_fn=heeds_interrupts,
    ) as process:
        assert process.stdout is not None
        said = ""
        async with asyncio.timeout(WITHIN_S):
            while "Ctrl-C ends everything" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        found = re.search(r"^curl .*$", said, re.MULTILINE)
        assert found is not None
        async with running("sh", "-c", f"{found[0]} -s", stdout=PIPE) as curl:
            answer, _ = await asyncio.wait_for(curl.communicate(), WITHIN_S)
        assert orjson.loads(answer)["choices"][0]["message"]["content"]
        assert "from openai import OpenAI" in said
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)
        assert process.returncode is None
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), WITHIN_S)
        assert process.returncode == 0
    assert not list(tmp_path.glob("headrace-dev-*"))  # noqa: ASYNC240
