"""`agent.admin`, read from its beginning by every process that carries actions out, and followed. It belongs to no group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiokafka.structs import TopicPartition

from schemas.limits import MIB
from streams.actions.wire import Noted, decode
from streams.kafka.follow import LogFollower
from streams.kafka.records import Record
from streams.metrics import definitions as metrics
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.actions")

_LOGGED: Final = 5
"""Records that are none, that are told with their words; of more, the counter tells."""


class AdminReader:
    """Hands what it reads to `take`, in the topic's order.

    Args:
        committed: whether transactions count. Redrives write what they have done in theirs, so who wants to know that waits for
            their end; who carries orders out does not, so that no transaction that stays open holds up a pause.
        on_anew: what was read counts no more.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topic: str,
        take: Callable[[Noted], None],
        *,
        committed: bool,
        on_anew: Callable[[], None] = lambda: None,
    ) -> None:
        self._partition = TopicPartition(topic, 0)
        self._follower = LogFollower(
            client_options,
            [self._partition],
            self._take_record,
            isolation="read_committed" if committed else "read_uncommitted",
            on_anew=on_anew,
            on_read=self._wake,
            tolerant=True,
            fetch_bytes=MIB,
        )
        self._take = take
        self._malformed = 0
        self._read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.caught_up = self._follower.caught_up

    async def start(self) -> None:
        """Begin to read; returns when everything is read that the topic held. A broker that is away is waited for."""
        self.begin()
        await self.caught_up.wait()

    def begin(self) -> None:
        """Begin to read, and return at once."""
        self._task = supervised("admin", self._follower.run)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def wait_read(self, offset: int) -> None:
        """Until what is before this offset was handed on."""
        while not self._follower.has_read(self._partition, offset - 1):
            await self._read.wait()

    def _wake(self) -> None:
        read, self._read = self._read, asyncio.Event()
        read.set()

    def _take_record(self, record: Record) -> None:
        try:
            noted = decode(record)
        except ValueError as error:
            metrics.ADMIN_MALFORMED.inc()
            self._malformed += 1
            if self._malformed <= _LOGGED:
                words = str(error).splitlines()[0][:200]
                log.warning("a record on the topic of actions is none, it is left out", offset=record.offset, why=words)
            return
        self._take(noted)
