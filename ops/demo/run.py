"""The demo from start to end."""

import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, ClientTimeout
from rich.console import Console

from ops.admin.scrape import scrape
from ops.cli.config_text import as_toml
from ops.demo.command_name import command_name
from ops.demo.surroundings import (
    SIMULATOR,
    DemoError,
    begin_at_the_end,
    insist_no_fleet,
    open_broker,
    prepare_topics,
    running,
    running_simulator,
)
from ops.demo.verdict import Shown, try_next, verdict
from ops.load import SHIPPED_TRACE, plan_requests, rate_scale_for, read_trace, schedule
from ops.load.ledger import Ledger
from ops.load.play import Player
from ops.load.report import LoadResult, shown_live
from ops.load.traffic import Traffic
from ops.processes.fleet import Fleet
from streams.settings import Effective, Settings

AGENTS: Final = 100
CHATS: Final = 50

CONNECTIONS: Final = 200
"""Of each worker to the simulator. The specification's 10 a host would answer 4 requests/s at 2.3 s each."""

READY_WITHIN_S: Final = 60.0
_KILL_AT: Final = 0.5
_LEAST_FOR_KILL_S: Final = 15.0
"""A load that is over sooner would end before its partitions have moved."""

REST_WITHIN_S: Final = 60.0
"""How long to wait for answers after the last request. An answer takes 10 s at most; what is not there by then is lost."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What can be chosen."""

    seconds: float = 60.0
    workers: int = 2
    broker: str | None = None
    rate_per_s: float = 25.0
    front: bool = False
    kill: bool = True
    """Kill a worker with -9 halfway, and add one after it, where the load lasts long enough."""
    ui: bool = False
    """The control room besides; it stays open until Enter where a terminal is there."""


async def run_demo(
    effective: Effective, options: DemoOptions, console: Console, report: Callable[[LoadResult], None]
) -> None:
    """Start everything, replay the trace, wait for the answers, report, end everything.

    `report` is also called when the demo is interrupted (cancelled) after the first request. Raises DemoError,
    ProvisionError, WorkerError and SendError, each with one line.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    rows = read_trace(SHIPPED_TRACE)
    try:
        scale = rate_scale_for(rows, rate_per_s=options.rate_per_s, over_s=options.seconds)
    except ValueError as error:
        raise DemoError(str(error)) from error
    run = f"demo-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-demo-")))
        broker, base = await open_broker(options.broker, effective, say, stack)
        asked = effective.settings
        base = base.model_copy(update={"front": asked.front, "ui": asked.ui})  # whatever broker was found
        say(f"broker: {broker.kind} at {broker.bootstrap_servers}")
        await prepare_topics(base, say)
        if broker.kind == "yours":
            await insist_no_fleet(base)
        await begin_at_the_end(base, run)
        url = await stack.enter_async_context(running_simulator(folder / "simulator.log"))
        say(
            f"provider: simulator at {url}, first token after {SIMULATOR['ttft']}, then {SIMULATOR['per-token']} a token"
        )
        settings_file = folder / "headrace.toml"
        settings_file.write_text(as_toml(Effective(demo_settings(base, url, run, folder / "cache"), {})))
        say(f"limits: requests and tokens a minute unlimited, {CONNECTIONS} connections a worker; all else by default")
        fleet = await stack.enter_async_context(Fleet(settings_file, folder))
        await fleet.start(options.workers)
        say(f"workers: {', '.join(f'{worker.name} (http://{worker.http}/metrics)' for worker in fleet.workers)}")
        if options.front:
            process = await stack.enter_async_context(running("front", settings_file, folder))
            say(f"front: {process.ready_line['listen']}/v1")
        if options.ui:
            await stack.enter_async_context(running("control", settings_file, folder))
            process = await stack.enter_async_context(running("ui", settings_file, folder))
            room = str(process.ready_line["listen"])
            say(f"control room: {room}")
        ledger = Ledger()
        traffic = await stack.enter_async_context(Traffic(base.kafka.client_options(), ledger, names=base.topics.names))
        player = Player(traffic)
        arrivals = schedule(rows, rate_scale=scale, duration_s=options.seconds, agents=AGENTS, chats=CHATS)
        say(
            f"load: {options.rate_per_s:g} requests/s for {options.seconds:g} s, {AGENTS} agents, {CHATS} chats; the "
            f"Azure conversation trace of 2023, {scale:.2f} times as fast"
        )
        began, interrupted, told = time.monotonic(), True, Shown(workers=options.workers)

        async def disturb() -> None:
            nonlocal told
            await asyncio.sleep(options.seconds * _KILL_AT)
            told = replace(told, killed_at_s=time.monotonic() - began)
            await fleet.replace(fleet.workers[0], ready_within_s=READY_WITHIN_S)
            await fleet.start(1, ready_within_s=READY_WITHIN_S)
            told = replace(told, grew_at_s=time.monotonic() - began, workers=len(fleet.workers))

        lasts = options.kill and options.seconds >= _LEAST_FOR_KILL_S
        disturbs = (
            lasts and broker.kind != "embedded"
        )  # which gives a killed worker's partitions up late (docs/brokers.md)
        if lasts and not disturbs:
            say("no worker is killed: the embedded broker is slow to move what it had; --broker apache shows it")
        if disturbs:
            say(
                f"at {options.seconds * _KILL_AT:.0f} s a worker is killed with -9 and started anew, then one more is added"
            )
        disturbing = asyncio.create_task(disturb() if disturbs else asyncio.sleep(0))
        try:
            async with shown_live(player.view, console):
                await player.play(plan_requests(arrivals, run=run))
                await disturbing
                await traffic.wait_answered(REST_WITHIN_S)
            interrupted = False
        finally:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            if ledger.sent:
                lasted_s = time.monotonic() - began
                facts: dict[str, str | int | float] = {
                    "rate_per_s": options.rate_per_s,
                    "seconds": options.seconds,
                    "workers": options.workers,
                    "broker": broker.kind,
                }
                counts = await scrape(fleet.workers)
                report(LoadResult(ledger.summary(), lasted_s, interrupted, facts, counts))
                told = replace(told, paid_twice=0 if interrupted else await _paid_twice(url))
                say(verdict(ledger.summary(), told, interrupted=interrupted))
                say(try_next(command_name()))
        if options.ui and sys.stdin.isatty():
            say(f"the control room stays open at {room}; Enter ends everything")
            await _enter()


async def _paid_twice(url: str) -> int:
    """Requests that the simulator answered whole more than once, by its own book."""
    async with ClientSession(timeout=ClientTimeout(10)) as session, session.get(f"{url[:-3]}/admin/stats") as answer:
        calls: dict[str, int] = (await answer.json())["by_id"]
    return sum(count > 1 for count in calls.values())


async def _enter() -> None:
    """Until a line comes from the terminal; the loop watches it, so that Ctrl-C ends the wait as it ends all else."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, pressed.set)
    try:
        await pressed.wait()
    finally:
        loop.remove_reader(sys.stdin)


def demo_settings(base: Settings, url: str, group_id: str, store: Path) -> Settings:
    """Settings of the demo's workers: [kafka] and [topics] of `base`, the simulator for a provider, a cache store of its own,
    all else default.
    """
    unlimited = {"requests": "unlimited", "tokens": "unlimited"}
    return Settings.model_validate(
        {
            "kafka": base.kafka.model_copy(update={"group_id": group_id}),
            "topics": base.topics,
            "front": base.front,
            "ui": base.ui.model_copy(update={"path": store.with_name("ui")}),
            "concurrency": {"per_host": CONNECTIONS},
            "cache": {"disk": {"path": store}},
            "providers": [
                {
                    "name": "simulator",
                    "endpoints": [{"url": url}],
                    "rate_limit": unlimited,
                    "bandwidth": "unlimited",
                    "connections": {"max": CONNECTIONS, "per_host": CONNECTIONS},
                }
            ],
        }
    )
