"""The LiteLLM proxy in front of an upstream, in a virtual environment of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from ops.bench.ground import Ground
from ops.bench.run import BenchError
from ops.bench.venvs import peer_python
from ops.brokers.ready import free_ports
from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment

LITELLM: Final = "litellm"
_LOCK: Final = "litellm-requirements.lock"
_PROXY_WITHIN_S: Final = 180.0


async def litellm_python(ground: Ground) -> Path:
    """Its interpreter. BenchError if it cannot be made."""
    return await peer_python(_LOCK, ground.say)


@asynccontextmanager
async def litellm_proxy(ground: Ground, upstream: str) -> AsyncIterator[tuple[str, int, Path]]:
    """The proxy with one worker process in front of the upstream; its URL, process id, and a file with its key."""
    python = await litellm_python(ground)
    (port,) = free_ports(1)
    key_file = ground.folder / "litellm.key"
    key_file.write_text(f"sk-{secrets.token_hex(24)}")  # it does not start without one
    config = ground.folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: small\n    litellm_params:\n      model: openai/small\n"
        f"      api_base: {upstream}\n      api_key: none\nlitellm_settings:\n  telemetry: false\n"
    )
    command = [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1"]
    env = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    env["LITELLM_MASTER_KEY"] = key_file.read_text()
    log = ground.folder / "litellm.log"
    child = ChildProcess([*command, "--port", str(port), "--num_workers", "1"], log, clean_environment(env))
    try:
        url = f"http://127.0.0.1:{port}"
        await _answers(f"{url}/health/liveliness", child)
        yield f"{url}/v1", child.pid, key_file
    finally:
        await asyncio.to_thread(child.stop)


async def _answers(url: str, child: ChildProcess) -> None:
    try:
        async with asyncio.timeout(_PROXY_WITHIN_S), aiohttp.ClientSession() as session:
            while child.alive():
                try:
                    async with session.get(url) as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    raise BenchError(f"the proxy did not start: {child.last_words()}")
