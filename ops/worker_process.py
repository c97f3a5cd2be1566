"""The process around a worker: checks before the start, signals, health endpoints, the drain at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

import structlog

from ops.health import serve_health
from streams.limits.build import leases_needed
from streams.settings import Settings
from streams.worker import Worker
from topics import provision
from topics.catalogue import catalogue
from topics.names import CACHE_ENTRIES, DEAD_LETTERS, LEASES, REQUEST_TOPICS, RESPONSES
from topics.provision import ProvisionError

log = structlog.get_logger("headrace.worker")

_ONE_CLOCK = (LEASES, "message.timestamp.type")  # without the broker's time no lease holds
_NEEDED = frozenset({*REQUEST_TOPICS, RESPONSES, DEAD_LETTERS, CACHE_ENTRIES})


class CannotStartError(Exception):
    """Why the worker cannot start: one line that says what is wrong and how to mend it."""


@dataclass(slots=True)
class _Stop:
    """The first signal asks for a drain, the second one for an end at once."""

    asked: asyncio.Event
    at_once: asyncio.Event

    def on_signal(self, name: str) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
        log.info("stopping", signal=name, at_once=self.at_once.is_set())


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain and leave the group.

    Raises CannotStartError, SettingsError for secrets that are not there, and what crashed the worker.
    """
    stop = _Stop(asyncio.Event(), asyncio.Event())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.on_signal, number.name)
    await check_start(settings)
    async with AsyncExitStack() as stack:
        worker = Worker(settings)
        address = await stack.enter_async_context(serve_health(settings.http.listen, lambda: worker.ready))
        starting = asyncio.create_task(stack.enter_async_context(worker))
        if not await _unless(stop.asked, starting):
            return
        ready, crashed = asyncio.create_task(worker.wait_ready()), asyncio.create_task(worker.wait_stopped())
        stack.callback(crashed.cancel)
        if not await _unless(stop.asked, ready, crashed):
            return
        _settle_memory()
        log.info("ready", http=address, partitions=len(worker.consumer.partitions), group=settings.kafka.group_id)
        if not await _unless(stop.asked, crashed):
            await _drain(worker, settings.kafka.drain_deadline, stop.at_once)


def _settle_memory() -> None:
    """Take what the start has made out of the garbage collector's sight, and let it look less often.

    What a record makes goes by reference counts; the collector walked over the libraries' 200,000 objects for nothing. It
    cost 8 of 44 us a record (`headrace bench pipeline`, hits).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


async def check_start(settings: Settings) -> None:
    """Raise CannotStartError where the worker could only fail later, or wrongly."""
    needed = _NEEDED | {LEASES} if leases_needed(settings) else _NEEDED
    wanted = [
        spec
        for spec in catalogue(settings.topics.partitions, settings.topics.replication_factor)
        if spec.name in needed
    ]
    try:
        with _client_is_quiet():
            report = await provision.check(settings.kafka.client_options(), wanted)
    except ProvisionError as error:
        raise CannotStartError(str(error)) from error
    fatal = [
        difference
        for difference in report.differences
        if difference.kind in ("missing", "partitions") or (difference.topic, difference.key) == _ONE_CLOCK
    ]
    if fatal:
        raise CannotStartError(str(fatal[0]))
    for difference in report.differences:
        log.warning("a topic differs from the contract", difference=str(difference))


@contextmanager
def _client_is_quiet() -> Iterator[None]:
    """What the client logs while it tries would stand beside the one line that says how it ended."""
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


async def _unless(stopping: asyncio.Event, *work: asyncio.Task[object] | asyncio.Task[None]) -> bool:
    """Wait for the first of `work`; False if the stop came first. Raises what the work raised."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([stop, *work], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
    for task in work:
        if task.done():
            task.result()
            return True
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    return False


async def _drain(worker: Worker, deadline_s: float, at_once: asyncio.Event) -> None:
    draining = asyncio.create_task(worker.drain(deadline_s))
    if await _unless(at_once, draining):
        left = draining.result()
        log.info("drained", unfinished=left, note="unfinished records go to the next owner" if left else "")
