"""The keys, followed on their topic: all of them in memory, what is revoked known within a fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.structs import TopicPartition

from streams.front.keys.ring import KeyRing
from streams.kafka.follow import LogFollower
from streams.kafka.records import Record
from streams.metrics import definitions as metrics
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.front")


class KeyReader:
    """Fills `ring` from the topic's only partition, from its beginning on, and follows it. It belongs to no group.

    A front that cannot read goes on with the keys that it knows, and begins again until it can; `front_keys` is then among what
    makes /readyz fail.
    """

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.ring = KeyRing()
        self._follower = LogFollower(
            client_options,
            [TopicPartition(topic, 0)],
            self._note,
            isolation="read_committed",
            on_anew=self.ring.clear,
            on_read=self._count,
        )
        self.caught_up = self._follower.caught_up
        """Set once everything was read that the topic held when reading began."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns when all keys are known. A broker that is away is waited for."""
        self._task = supervised("front_keys", self._follower.run)
        await self.caught_up.wait()

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def _count(self) -> None:
        metrics.FRONT_KEYS.set(len(self.ring))

    def _note(self, record: Record) -> None:
        fault = self.ring.note(record.key, record.value)
        if fault == "full":
            log.error("there are more keys than a front keeps, this one opens nothing", offset=record.offset)
        elif fault is not None:
            log.warning("a record on the topic of keys is none, it opens nothing", offset=record.offset)
