"""The process around a control: checks before the start, signals, health endpoints, and what KEDA asks for."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from ops.processes.groups import groups_of_control
from ops.processes.health import serve_health
from ops.processes.log_file import reopening
from ops.processes.reload import Reload
from ops.processes.service import Stop, check_start, unless, wait_broken
from ops.processes.settings_file import NO_FILE, SettingsFile
from streams.control import Control
from streams.settings import Settings
from streams.unhandled import Unhandled
from topics.access import READ, READ_WRITE, WRITE
from topics.plan import Needs

log = structlog.get_logger("headrace.control")

DESIRED: Final = "/scaling/desired"
"""Where KEDA's metrics-api scaler asks: `{"desired": 3, "epoch": 17, "at": "…"}`."""


def topics_of_control(settings: Settings) -> Needs:
    """What a control process with these settings reads and writes."""
    names = settings.topics.names
    return {
        **dict.fromkeys(names.requests, READ_WRITE),
        names.metric_samples: READ_WRITE,
        names.metric_windows: READ_WRITE,
        names.scaling_decisions: READ_WRITE,
        names.scaling_events: WRITE,
        names.admin: READ_WRITE,
        **dict.fromkeys(names.all_dead_letters, READ),
    }


async def run_control(settings: Settings, file: SettingsFile = NO_FILE) -> None:
    """Run until SIGTERM or SIGINT, then leave the group, so that another takes over at once.

    Raises CannotStartError, GroupRefusedError, SettingsError for a secret of the broker that is not there, RealizeError, and
    FaultError for what broke the control.
    """
    unhandled, stop = Unhandled.watch(), Stop.on_signals()
    await check_start(settings, topics_of_control(settings), groups_of_control(settings))
    async with AsyncExitStack() as stack:
        control = Control(settings)
        reload = Reload(file, settings, "control", [control.prepare], [reopening()])
        stack.push_async_callback(reload.stop)
        reload.start()
        documents = {DESIRED: lambda: desired(control, settings)}
        health = serve_health(
            settings.http.listen,
            lambda: control.ready and not unhandled.happened,
            documents,
            private={"/settings": reload.document},
        )
        address = await stack.enter_async_context(health)
        starting = asyncio.create_task(stack.enter_async_context(control))
        if not await unless(stop.asked, starting):
            return
        ready = asyncio.create_task(control.wait_ready())
        broken = asyncio.create_task(wait_broken(control.wait_stopped(), unhandled))
        stack.callback(broken.cancel)
        if not await unless(stop.asked, ready, broken):
            return
        log.info("ready", http=address, owns=control.owns, realizer=settings.scaling.realizer)
        await unless(stop.asked, broken)


def desired(control: Control, settings: Settings) -> dict[str, Any] | None:
    """The newest decision as a document; None where there is none, or the topic could not be read lately."""
    newest = control.tail.decisions.newest if control.ready else None
    heard_at = control.tail.heard_at if control.ready else None
    if newest is None or heard_at is None or time.monotonic() - heard_at > settings.kafka.session_timeout:
        return None
    return {"desired": newest.workers_wanted, "epoch": newest.epoch, "at": newest.at}
