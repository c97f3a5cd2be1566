"""What processes that run until a signal share: checks before the start, the stop, and waiting for whichever comes first."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import structlog

from streams.settings import Settings
from topics import provision
from topics.catalogue import catalogue
from topics.names import LEASES
from topics.provision import ProvisionError

log = structlog.get_logger("headrace.service")

_ONE_CLOCK: Final = (LEASES, "message.timestamp.type")  # without the broker's time no lease holds


class CannotStartError(Exception):
    """Why the process cannot start: one line that says what is wrong and how to mend it."""


@dataclass(slots=True)
class Stop:
    """The first signal asks for an end in order, the second one for an end at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def on_signals(cls) -> Self:
        """Asked for by SIGTERM and SIGINT from now on."""
        stop = cls()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop._on_signal, number.name)
        return stop

    def _on_signal(self, name: str) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
        log.info("stopping", signal=name, at_once=self.at_once.is_set())


async def check_start(settings: Settings, needed: Collection[str]) -> None:
    """Raise CannotStartError where the broker does not answer, or one of these topics is missing or wrong."""
    wanted = [
        spec
        for spec in catalogue(settings.topics.partitions, settings.topics.replication_factor, settings.front.lanes)
        if spec.name in needed
    ]
    try:
        with client_is_quiet():
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
def client_is_quiet() -> Iterator[None]:
    """What the client logs while it tries would stand beside the one line that says how it ended."""
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


async def unless(stopping: asyncio.Event, *work: asyncio.Task[Any]) -> bool:
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
