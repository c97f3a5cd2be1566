"""`headrace dev` from start to end: what the demo stands on, and the supervisor of `headrace up` on top of it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from ops.cli.config_text import as_toml
from ops.demo.command_name import command_name
from ops.demo.run import demo_settings
from ops.demo.surroundings import DemoError, insist_no_fleet, open_broker, prepare_topics, running_simulator
from ops.dev.words import Running, told
from ops.processes.settings_file import SettingsFile
from ops.processes.supervisor.supervise import UpOptions, run_supervisor
from streams.settings import Effective, Settings

READY_WITHIN_S: Final = 90.0
_LOOK_S: Final = 0.1
_GROUP: Final = "headrace-dev"


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What can be chosen. `workers`: so many, whatever is decided; None: as decided; with the embedded broker 1."""

    broker: str | None = None
    workers: int | None = None


async def run_dev(effective: Effective, options: DevOptions, say: Callable[[str], None]) -> None:
    """Start everything, say where it is, and keep it until SIGTERM or SIGINT.

    Raises DemoError, ProvisionError and CannotStartError, each with one line.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-dev-", ignore_cleanup_errors=True))
        )
        say("starting a broker, a simulated provider, workers, control, front and control room")
        broker, base = await open_broker(options.broker, effective, say, stack)
        if broker.kind == "embedded" and (options.workers or 1) > 1:
            raise DemoError("the embedded broker serves one worker: --broker apache has a fleet (docs/brokers.md)")
        base = base.model_copy(update={"front": effective.settings.front, "ui": effective.settings.ui})
        url = await stack.enter_async_context(running_simulator(folder / "simulator.log"))
        await prepare_topics(base, say)
        if broker.kind == "yours":
            await insist_no_fleet(base)
        settings = dev_settings(base, url, folder)
        path = folder / "headrace.toml"
        path.write_text(as_toml(Effective(settings, {})))
        ready = Running(
            broker.bootstrap_servers, settings.front.listen, settings.ui.listen, url, path, folder, 0.0, command_name()
        )
        # On the embedded broker a second worker that joins while the first one commits may wait for a minute (docs/brokers.md).
        workers = 1 if broker.kind == "embedded" else options.workers
        up = UpOptions(folder, path, workers, front=True, ui=True, file=SettingsFile.of(path), alone=True)
        supervising = asyncio.create_task(run_supervisor(settings, up))
        telling = asyncio.create_task(_tell(ready, began, say))
        try:
            await asyncio.wait([supervising, telling], return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
            await supervising
        finally:
            telling.cancel()
            supervising.cancel()
            await asyncio.gather(telling, supervising, return_exceptions=True)


def dev_settings(base: Settings, url: str, folder: Path) -> Settings:
    """The demo's settings, a fleet that is as large as decided, and ports of its own where the usual ones are taken."""
    settings = demo_settings(base, url, _GROUP, folder / "cache")
    scaling = settings.scaling.model_copy(update={"realizer": "process"})
    front = settings.front.model_copy(update={"listen": _free(settings.front.listen)})
    ui = settings.ui.model_copy(update={"listen": _free(settings.ui.listen)})
    return settings.model_copy(update={"scaling": scaling, "front": front, "ui": ui})


def _free(listen: str) -> str:
    """The address, or another port there where somebody has it."""
    host, _, port = listen.rpartition(":")
    for wanted in (int(port), 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host.strip("[]"), wanted))
            except OSError:
                continue
            return f"{host}:{tried.getsockname()[1]}"
    raise DemoError(f"no port is free at {host}")


async def _tell(ready: Running, began: float, say: Callable[[str], None]) -> None:
    """Say where everything is once a request would be answered."""
    try:
        async with asyncio.timeout(READY_WITHIN_S), ClientSession(timeout=ClientTimeout(2)) as session:
            for address in (ready.front, ready.ui):
                while not await _is_ready(session, address):  # noqa: ASYNC110 - processes have no event for us
                    await asyncio.sleep(_LOOK_S)
            await _first_answer(session, ready.front)
    except TimeoutError:
        raise DemoError(f"it was not ready within {READY_WITHIN_S:.0f} s: see the log files in {ready.logs}") from None
    say(told(replace(ready, took_s=time.monotonic() - began)))


async def _is_ready(session: ClientSession, address: str) -> bool:
    try:
        async with session.get(f"http://{address}/readyz") as answer:
            return answer.status == 200
    except (ClientError, TimeoutError, OSError):
        return False


async def _first_answer(session: ClientSession, front: str) -> None:
    """A worker has its partitions once a request is answered."""
    body = {"model": "small", "max_tokens": 1, "messages": [{"role": "user", "content": "are you there?"}]}
    async with session.post(
        f"http://{front}/v1/chat/completions", json=body, timeout=ClientTimeout(READY_WITHIN_S)
    ) as answer:
        if answer.status != 200:
            raise DemoError(f"the first request was answered {answer.status}: {(await answer.text())[:300]}")
