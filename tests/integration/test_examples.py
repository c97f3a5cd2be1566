"""Every example runs as it stands against a fleet, and says what it should."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from ops.processes.fleet import WorkerProcess
from tests.integration.test_front import fronts
from tests.support.asking import running
from tests.support.pipeline import Pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIENT = Path(__file__).parents[2] / "clients/python"
SAID = {
    "ask.py": ["from sim", "cache: none"],
    "cancel.py": ["cancelled: ", "closed the window", "the stream has ended"],
    "cache_control.py": ["first: cache none, 1 call", "second: cache memory, 0 calls", "off: cache none, 1 call"],
    "dead_letter_replay.py": ["rejected: ", "dead letter: poison", ": ok"],
    "deadlines_and_errors.py": [
        "in time: ok",
        "too late: expired",
        "no model: rejected",
        "refused: provider_error, retryable: False",
    ],
    "embeddings.py": ["input 0: ", "input 1: "],
    "idempotent_retry.py": ["answered once", "one record: True"],
    "own_reply_topic.py": ["answered on agent.responses.example"],
    "plain_aiokafka.py": ['"status": "ok"'],
    "priorities.py": ["high: ok", "normal: ok", "low: ok"],
    "stream.py": ["all of it: True", " tokens"],
}
OVER_HTTP = {
    "anthropic_sdk.py": ["answered (", "streamed: True", "counted: ", "refused: 400"],
    "openai_sdk.py": ["answered by sim: ", "streamed: ", "embeddings: 2", "refused: 400 invalid_request_error"],
}
NEEDS_WINDOWS = {"metrics_windows.py"}


async def run(
    pipeline: Pipeline, *command: str, folder: Path = EXAMPLES, within_s: float = 120.0, front: str = ""
) -> str:
    """What a program says, once it has ended well."""
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": pipeline.broker.bootstrap_servers,
        "HEADRACE_FRONT": front,
        "PYTHONPATH": str(CLIENT),
        "GOTOOLCHAIN": "local",
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()


def test_every_python_example_has_a_test() -> None:
    assert {path.name for path in (EXAMPLES / "python").glob("*.py")} == {*SAID, *OVER_HTTP, *NEEDS_WINDOWS}


@pytest.mark.long
async def test_python_examples(pipeline: Pipeline) -> None:
    async with running(pipeline):
        for name, wanted in SAID.items():
            said = await run(pipeline, sys.executable, str(EXAMPLES / "python" / name))
            for each in wanted:
                assert each in said, f"{name} said {said!r}"


@pytest.mark.long
async def test_python_examples_over_http(pipeline: Pipeline) -> None:
    for name in ("anthropic", "openai"):
        pytest.importorskip(name, reason=f"the {name} package is not installed")
    async with fronts(pipeline) as serving:
        for name, wanted in OVER_HTTP.items():
            said = await run(pipeline, sys.executable, str(EXAMPLES / "python" / name), front=serving.urls[0])
            for each in wanted:
                assert each in said, f"{name} said {said!r}"


async def test_the_first_snippet_of_the_clients_readme(pipeline: Pipeline, tmp_path: Path) -> None:
    snippet = re.findall(r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)[0]
    assert "127.0.0.1:9092" in snippet
    program = tmp_path / "snippet.py"
    program.write_text(snippet.replace("127.0.0.1:9092", pipeline.broker.bootstrap_servers))
    async with running(pipeline):
        assert (await run(pipeline, sys.executable, str(program))).strip()


@pytest.mark.long
async def test_the_example_of_metrics_reads_a_window_of_the_fleet(pipeline: Pipeline) -> None:
    async with running(pipeline):
        worker_file = pipeline.directory / "headrace.toml"
        control = WorkerProcess("control", worker_file, pipeline.directory / "control.log", command="control")
        try:
            await control.wait_ready()
            said = await run(pipeline, sys.executable, str(EXAMPLES / "python/metrics_windows.py"), within_s=200)
            assert '"scope": "fleet"' in said, said
        finally:
            await control.stop()


@pytest.mark.long
async def test_go_examples(pipeline: Pipeline) -> None:
    go = needs("go")
    await run(pipeline, go, "test", "./...", folder=EXAMPLES / "go", within_s=250)
    async with running(pipeline):
        assert (await run(pipeline, go, "run", "./ask", "hello", folder=EXAMPLES / "go")).strip()
        assert_all_classes(await run(pipeline, go, "run", "./priorities", folder=EXAMPLES / "go"))


@pytest.mark.long
async def test_node_examples(pipeline: Pipeline, tmp_path: Path) -> None:
    node, npm = needs("node"), needs("npm")
    folder = tmp_path / "examples/node"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "topics").symlink_to(EXAMPLES.parent / "topics")
    await run(pipeline, npm, "ci", "--no-audit", "--no-fund", folder=folder, within_s=250)
    await run(pipeline, node, "--test", folder=folder)
    async with running(pipeline):
        assert (await run(pipeline, node, "ask.js", "hello", folder=folder)).strip()
        assert_all_classes(await run(pipeline, node, "priorities.js", folder=folder))


@pytest.mark.long
async def test_java_examples(pipeline: Pipeline) -> None:
    needs("java")
    maven = [needs("mvn"), "-q", "-B", "compile", "exec:java"]
    folder = EXAMPLES / "java"
    assert "vectors hold" in await run(
        pipeline, *maven, "-Dexec.mainClass=headrace.GoldenVectors", folder=folder, within_s=250
    )
    async with running(pipeline):
        assert (await run(pipeline, *maven, "-Dexec.mainClass=headrace.Ask", folder=folder)).strip()
        assert_all_classes(await run(pipeline, *maven, "-Dexec.mainClass=headrace.Priorities", folder=folder))


def needs(tool: str) -> str:
    """Its path; skips where it is not installed."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def assert_all_classes(said: str) -> None:
    for priority in ("high", "normal", "low"):
        assert f"{priority}: ok" in said, said
