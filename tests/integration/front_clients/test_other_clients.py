"""LangChain, LiteLLM and the Vercel AI SDK against a front: each in an environment of its own, made from hashed lock files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.brokers.kafka_jars import cache_folder

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.long]

_HERE = Path(__file__).parent


async def run(
    *command: str, within_s: float, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=PIPE, stderr=STDOUT, env={**os.environ, **(environment or {})}
    )
    try:
        async with asyncio.timeout(within_s):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-3000:]
    return said.decode(errors="replace")


@pytest.mark.timeout(600)
async def test_the_vercel_ai_sdk(front_url: str, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node is not installed")
    folder = tmp_path / "node"
    shutil.copytree(_HERE / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    await run(npm, "ci", "--no-audit", "--no-fund", within_s=250, folder=folder)
    await run(node, "client.js", within_s=250, folder=folder, environment={"FRONT_URL": front_url})


async def _python() -> str:
    """Of an environment with the packages of the lock file, made once and kept beside Kafka's jars: that takes two minutes."""
    lock = _HERE / "python" / "requirements.lock"
    name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder().parent / f"front-clients-{name}"
    python, complete = str(folder / "bin" / "python"), folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        await run(sys.executable, "-m", "venv", str(folder), within_s=120)
        pip = (
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        )
        await run(*pip, "-r", str(lock), within_s=600)
        complete.touch()
    return python


@pytest.mark.timeout(900)
async def test_langchain_and_litellm(front_url: str) -> None:
    python = await _python()
    environment = {"FRONT_URL": front_url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # nothing is asked of the network
    await run(python, str(_HERE / "python" / "client.py"), within_s=250, environment=environment)
