"""The process around a worker: checks before the start, signals, health endpoints, the drain at the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog

from ops.processes.groups import groups_of_worker
from ops.processes.health import serve_health
from ops.processes.log_file import reopening
from ops.processes.reload import Reload
from ops.processes.service import Stop, check_start, settle_memory, unless, wait_broken
from ops.processes.settings_file import NO_FILE, SettingsFile
from streams.limits.build import leases_needed
from streams.settings import Settings
from streams.unhandled import FaultError, Unhandled
from streams.waits import read_asked
from streams.worker import Worker
from topics.access import READ, READ_WRITE, WRITE
from topics.plan import Needs

log = structlog.get_logger("headrace.worker")


def needed_topics(settings: Settings) -> Needs:
    """What a worker with these settings reads and writes."""
    names = settings.topics.names
    needed: Needs = {
        **dict.fromkeys(names.requests, READ),
        **dict.fromkeys((*names.all_responses, *names.all_dead_letters), WRITE),
        names.front_responses: WRITE,
        names.deltas: READ_WRITE,
        names.cancels: READ,
        names.admin: READ_WRITE,
        names.cache_entries: READ_WRITE,
        names.metric_samples: WRITE,
        names.cost_windows: WRITE,
    }
    if settings.budgets:
        needed = {**needed, names.budget_ledger: READ_WRITE, names.budget_state: READ_WRITE}
    return {**needed, names.leases: READ_WRITE} if leases_needed(settings) else needed


async def run_worker(settings: Settings, file: SettingsFile = NO_FILE) -> None:
    """Run until SIGTERM or SIGINT, then drain and leave the group. `file`: where the settings are read again from.

    Raises CannotStartError, GroupRefusedError, SettingsError for secrets that are not there, and FaultError, after the same
    drain, for what broke the worker.
    """
    unhandled, stop = Unhandled.watch(), Stop.on_signals()
    await check_start(settings, needed_topics(settings), groups_of_worker(settings))
    async with AsyncExitStack() as stack:
        worker = Worker(settings)
        reload = Reload(
            file, settings, "worker", [worker.prepare], [lambda: worker.providers.look_at_keys(), reopening()]
        )
        address = await stack.enter_async_context(
            serve_health(
                settings.http.listen,
                lambda: worker.ready and not unhandled.happened,
                {"/agents": worker.flow_stats, "/providers": worker.endpoint_stats, "/settings": reload.document},
                {"/providers/drain": lambda asked: worker.drain_endpoint(asked["endpoint"], asked["draining"])},
                {"/requests": lambda asked: worker.where(read_asked(asked))},
                token=settings.http.token(),
                hosts=settings.http.hosts,
                semconv=settings.metrics.semconv,
            )
        )
        worker.address = settings.http.advertised(address)
        starting = asyncio.create_task(stack.enter_async_context(worker))
        if not await unless(stop.asked, starting):
            return
        stack.push_async_callback(reload.stop)
        reload.start()
        ready = asyncio.create_task(worker.wait_ready())
        broken = asyncio.create_task(wait_broken(worker.wait_stopped(), unhandled))
        stack.callback(broken.cancel)
        if not await unless(stop.asked, ready, broken):
            return
        settle_memory()
        log.info("ready", http=address, partitions=len(worker.consumer.partitions), group=settings.kafka.group_id)
        try:
            await unless(stop.asked, broken)
        except FaultError:
            await _drain(worker, settings.kafka.drain_deadline, stop.at_once)
            raise
        await _drain(worker, settings.kafka.drain_deadline, stop.at_once)


async def _drain(worker: Worker, deadline_s: float, at_once: asyncio.Event) -> None:
    draining = asyncio.create_task(worker.drain(deadline_s))
    if await unless(at_once, draining):
        left = draining.result()
        log.info("drained", unfinished=left, note="unfinished records go to the next owner" if left else "")
