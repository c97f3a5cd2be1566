"""A bare JSON value from kcat, with its own partitioner and no headers, is a request like any other."""

import asyncio
import os
import shutil

import orjson
import pytest

from ops.load.traffic import Answer
from tests.support.pipeline import Pipeline, request, wait_until
from tests.support.processes import running


async def kcat(pipeline: Pipeline, lines: list[bytes], *options: str) -> None:
    command = ["kcat", "-P", "-b", pipeline.broker.bootstrap_servers, "-t", "agent.requests.normal", *options]
    async with running(*command, stdin=asyncio.subprocess.PIPE) as process:
        await process.communicate(b"\n".join(lines))
    assert process.returncode == 0


async def test_what_kcat_sends_is_answered_with_and_without_a_key(pipeline: Pipeline) -> None:
    if shutil.which("kcat") is None:
        if os.environ.get("CI"):
            pytest.fail("kcat is not installed")
        pytest.skip("kcat is not installed")
    answers: list[Answer] = []
    payload = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    async with pipeline.fleet() as fleet, pipeline.traffic(on_answer=answers.append):
        await fleet.start(1)
        await kcat(pipeline, [b"agent-%d|" % n + orjson.dumps({"payload": payload}) for n in range(20)], "-K", "|")
        await kcat(pipeline, [orjson.dumps({"agent_id": f"agent-{n}", "payload": payload}) for n in range(20)])
        await kcat(pipeline, [orjson.dumps({"agent_id": "agent-7", **request("named")})])

        async def all_are_answered() -> bool:
            return len(answers) >= 41

        await wait_until(all_are_answered, 60)
        await pipeline.wait_all_committed(60)
    values = [orjson.loads(answer.value or b"") for answer in answers]

    assert [value["status"] for value in values] == ["ok"] * 41
    assert sorted(value["agent_id"] for value in values) == sorted([f"agent-{n}" for n in range(20)] * 2 + ["agent-7"])
    own_ids = {value["request_id"] for value in values} - {"named"}
    assert len(own_ids) == 40
    assert all(name.startswith("agent.requests.normal:") for name in own_ids)
