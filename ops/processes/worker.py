"""The process around a worker: checks before the start, signals, health endpoints, the drain at the end."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack

import structlog

from ops.processes.health import reached_by, serve_health
from ops.processes.service import Stop, check_start, unless, wait_broken
from streams.limits.build import leases_needed
from streams.settings import Settings
from streams.unhandled import FaultError, Unhandled
from streams.worker import Worker
from topics.access import READ, READ_WRITE, WRITE
from topics.plan import Needs

log = structlog.get_logger("headrace.worker")


def needed_topics(settings: Settings) -> Needs:
    """What a worker with these settings reads and writes."""
    names = settings.topics.names
    needed: Needs = {
        **dict.fromkeys(names.requests, READ),
        names.responses: WRITE,
        names.deltas: WRITE,
        names.dead_letters: WRITE,
        names.cancels: READ,
        names.cache_entries: READ_WRITE,
        names.metric_samples: WRITE,
    }
    return {**needed, names.leases: READ_WRITE} if leases_needed(settings) else needed


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain and leave the group.

    Raises CannotStartError, GroupRefusedError, SettingsError for secrets that are not there, and FaultError, after the same
    drain, for what broke the worker.
    """
    unhandled, stop = Unhandled.watch(), Stop.on_signals()
    await check_start(settings, needed_topics(settings))
    async with AsyncExitStack() as stack:
        worker = Worker(settings)
        address = await stack.enter_async_context(
            serve_health(
                settings.http.listen,
                lambda: worker.ready and not unhandled.happened,
                {"/agents": worker.flow_stats, "/providers": worker.endpoint_stats},
                {"/providers/drain": lambda asked: worker.drain_endpoint(asked["endpoint"], asked["draining"])},
                token=settings.http.token(),
                hosts=settings.http.hosts,
            )
        )
        worker.http = reached_by(address)
        starting = asyncio.create_task(stack.enter_async_context(worker))
        if not await unless(stop.asked, starting):
            return
        ready = asyncio.create_task(worker.wait_ready())
        broken = asyncio.create_task(wait_broken(worker.wait_stopped(), unhandled))
        stack.callback(broken.cancel)
        if not await unless(stop.asked, ready, broken):
            return
        _settle_memory()
        log.info("ready", http=address, partitions=len(worker.consumer.partitions), group=settings.kafka.group_id)
        try:
            await unless(stop.asked, broken)
        except FaultError:
            await _drain(worker, settings.kafka.drain_deadline, stop.at_once)
            raise
        await _drain(worker, settings.kafka.drain_deadline, stop.at_once)


def _settle_memory() -> None:
    """Take what the start has made out of the garbage collector's sight, and let it look less often.

    What a record makes goes by reference counts; the collector walked over the libraries' 200,000 objects for nothing. It
    cost 8 of 44 us a record (`headrace bench pipeline`, hits).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


async def _drain(worker: Worker, deadline_s: float, at_once: asyncio.Event) -> None:
    draining = asyncio.create_task(worker.drain(deadline_s))
    if await unless(at_once, draining):
        left = draining.result()
        log.info("drained", unfinished=left, note="unfinished records go to the next owner" if left else "")
