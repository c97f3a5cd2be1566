"""The supervisor as a process: control and workers as children, as many workers as decisions want."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from ops.processes.control import topics_of_control
from ops.processes.front import LAST_ANSWERS_S, topics_of_front
from ops.processes.groups import groups_of_supervisor, supervisor_group
from ops.processes.health import serve_health
from ops.processes.log_file import reopening
from ops.processes.reload import Reload
from ops.processes.service import CannotStartError, Stop, both, check_start, unless
from ops.processes.settings_file import NO_FILE, SettingsFile
from ops.processes.supervisor.keeper import Keeper
from ops.processes.supervisor.process_realizer import ProcessRealizer
from ops.processes.supervisor.roster import Pauses, Roster
from ops.processes.ui import topics_of_ui
from ops.processes.worker import needed_topics
from streams.app import producer_options
from streams.kafka.election import Election
from streams.kafka.reconnect import make_producer
from streams.scaling.actuator import Actuator
from streams.scaling.tail import ScalingTail
from streams.settings import Settings
from streams.unhandled import Unhandled

log = structlog.get_logger("headrace.supervisor")

_AFTER_DRAIN_S: Final = 5.0
"""What a worker may take besides its drain: the last commit, leaving the group, closing its store."""
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `headrace up` was asked for. `workers`: so many, whatever is decided; None: as decided. `front`, `ui`: one besides."""

    log_dir: Path
    settings_file: Path | None = None
    workers: int | None = None
    controls: int = 1
    front: bool = False
    ui: bool = False
    file: SettingsFile = NO_FILE
    alone: bool = False
    """Nobody else keeps workers of this fleet: the first ones need not wait until that is settled."""


class Sizes:
    """How small and large the fleet may be, by the settings as they are now."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.scaling.limits
        self._tell: Callable[[], None] = lambda: None

    @property
    def least(self) -> int:
        return self._limits.min

    @property
    def most(self) -> int:
        return self._limits.max

    def follow(self, tell: Callable[[], None]) -> None:
        """`tell` is called now, and whenever they have changed."""
        self._tell = tell
        tell()

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What takes these settings over."""

        def take() -> None:
            if settings.scaling.limits != self._limits:
                self._limits = settings.scaling.limits
                self._tell()

        return take


async def run_supervisor(settings: Settings, options: UpOptions) -> None:
    """Run until SIGTERM or SIGINT, then drain all workers and end; a second signal ends all at once.

    Raises CannotStartError, also when no worker can be kept running, and FaultError for what broke
    the supervisor: its workers are drained all the same.
    """
    stop, unhandled = Stop.on_signals(), Unhandled.watch()
    if settings.scaling.realizer in ("kubernetes", "keda"):
        raise CannotStartError(
            f"scaling.realizer is {settings.scaling.realizer}, and `headrace up` keeps workers on this machine: set it to "
            "process, or run `headrace control` and `headrace worker` in the cluster"
        )
    needed = both(topics_of_control(settings), needed_topics(settings))
    if options.front:
        needed = both(needed, topics_of_front(settings))
    needed = both(needed, topics_of_ui(settings, may_act=True)) if options.ui else needed
    await check_start(settings, needed, groups_of_supervisor(settings))
    async with AsyncExitStack() as stack:
        workers = _keeper(settings, options, "worker")
        controls = _keeper(settings, options, "control")
        fronts = _keeper(settings, options, "front", drain_s=LAST_ANSWERS_S + _AFTER_DRAIN_S)
        rooms = _keeper(settings, options, "ui")
        keepers = (workers, controls, fronts, rooms)
        sizes = Sizes(settings)
        reload = Reload(options.file, settings, "up", [sizes.prepare], [partial(_pass_on, keepers), reopening()])
        stack.push_async_callback(reload.stop)
        reload.start()
        address = ""

        def targets() -> list[dict[str, Any]]:
            return [_target(address, "supervisor", "up"), *_targets(*keepers)]

        def ready() -> bool:
            return workers.roster.counts()["ready"] >= min(workers.roster.wanted, sizes.least)

        address = await stack.enter_async_context(
            serve_health(settings.http.listen, ready, {"/workers": targets}, private={"/settings": reload.document})
        )
        stack.callback(log.info, "stopped")
        await stack.enter_async_context(controls)
        await stack.enter_async_context(workers)
        await stack.enter_async_context(
            fronts
        )  # the last to come is the first to end: its clients still get their answers
        await stack.enter_async_context(rooms)
        fronts.want(int(options.front))
        rooms.want(int(options.ui))
        controls.want(options.controls)
        log.info("supervising", http=address, log_dir=str(options.log_dir), controls=options.controls)
        if options.front:
            log.info("a front is started", listen=settings.front.listen)
        if options.ui:
            log.info("a control room is started", listen=settings.ui.listen)
        broken = (*(each.wait_broken() for each in keepers), unhandled.wait())
        work = [asyncio.create_task(each) for each in broken]
        if options.workers is not None:
            workers.want(options.workers)
        elif settings.scaling.realizer == "observe":
            sizes.follow(lambda: workers.want(sizes.least))
        else:
            if options.alone:
                workers.want(sizes.least)
            work.append(asyncio.create_task(_follow(settings, workers, sizes)))
        for task in work:
            stack.callback(task.cancel)
        if await unless(stop.asked, *work):
            which = next(each.command for each in keepers if each.all_given_up)
            raise CannotStartError(f"no {which} process can be kept running: see the log files in {options.log_dir}")
        # Leaving the block drains the workers; who asks again does not want to wait for that.
        hurry = asyncio.create_task(_kill_all(stop, *keepers))
        stack.callback(hurry.cancel)


async def _follow(settings: Settings, workers: Keeper, sizes: Sizes) -> None:
    """Keep as many workers as decisions want, while this is the supervisor that acts; none while another one is."""
    kafka, names = settings.kafka, settings.topics.names
    async with AsyncExitStack() as stack:
        producer = make_producer(**producer_options(settings))
        stack.push_async_callback(producer.stop)
        await producer.start()
        tail = await stack.enter_async_context(
            ScalingTail(kafka.client_options(), names, least=sizes.least, most=sizes.most)
        )
        election = await stack.enter_async_context(
            Election(
                kafka.client_options(),
                names.scaling_decisions,
                supervisor_group(settings),
                kafka.session_timeout,
            )
        )
        within_s = settings.supervisor.ready_within + kafka.drain_deadline + _AFTER_DRAIN_S
        realizer = ProcessRealizer(workers, within_s)
        actuator = Actuator(tail, producer, realizer, "/supervisor", acts=lambda: election.is_ours, now=time.time)
        acting = asyncio.create_task(actuator.run())
        stack.callback(acting.cancel)
        sizes.follow(lambda: _take_sizes(tail, actuator, sizes))
        stands_by = False
        while True:
            if election.is_anothers and not stands_by:
                stands_by = True
                log.info("another supervisor keeps this fleet's workers, standing by")
                workers.want(0)
            elif election.is_ours and stands_by:
                stands_by = False
                actuator.forget()
            if election.is_ours and tail.decisions.newest is None and not workers.roster.wanted:
                workers.want(sizes.least)
            if acting.done():
                acting.result()
            await asyncio.sleep(_LOOK_S)


def _take_sizes(tail: ScalingTail, actuator: Actuator, sizes: Sizes) -> None:
    before = tail.decisions.newest
    tail.change(windows_s=0.0, least=sizes.least, most=sizes.most)
    if tail.decisions.newest != before:
        actuator.forget()


def _keeper(settings: Settings, options: UpOptions, command: str, *, drain_s: float | None = None) -> Keeper:
    own = settings.supervisor
    pauses = Pauses(own.first_pause, own.last_pause, own.give_up_after, own.steady_after)
    host = settings.http.listen.rpartition(":")[0]
    env = {name: value for name, value in os.environ.items() if name.startswith("HEADRACE_")}
    is_told = settings.logging.level in ("debug", "info")  # `ready` is read from it
    env |= {
        "HEADRACE_HTTP__LISTEN": f"{host}:0",
        "HEADRACE_LOGGING__FORMAT": "json",  # `ready` is read from it
        # At info or below it is the file's, so that it can be changed; an empty variable counts as none.
        "HEADRACE_LOGGING__LEVEL": env.get("HEADRACE_LOGGING__LEVEL", "") if is_told else "info",
        "HEADRACE_SCALING__REALIZER": settings.scaling.realizer,
    }
    return Keeper(
        command,
        Roster(pauses, prefix=command[0]),
        settings_file=options.settings_file,
        env=env,
        log_dir=options.log_dir,
        ready_within_s=own.ready_within,
        drain_s=settings.kafka.drain_deadline + _AFTER_DRAIN_S if drain_s is None else drain_s,
    )


def _pass_on(keepers: Sequence[Keeper]) -> None:
    """SIGHUP for whoever is ready; who starts now reads what is there."""
    for keeper in keepers:
        keeper.signal_ready(signal.SIGHUP)


def _targets(*keepers: Keeper) -> list[dict[str, Any]]:
    """The children's metrics endpoints as Prometheus' HTTP service discovery wants them."""
    return [
        _target(address, keeper.command, name) for keeper in keepers for name, address in keeper.addresses().items()
    ]


def _target(address: str, command: str, name: str) -> dict[str, Any]:
    return {"targets": [address], "labels": {"job": f"headrace-{command}", "process": name}}


async def _kill_all(stop: Stop, *keepers: Keeper) -> None:
    await stop.at_once.wait()
    for keeper in keepers:
        for process in keeper.processes.values():
            process.kill()
