"""The keys, followed on their topic: all of them in memory, what is revoked known within a fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka.structs import TopicPartition

from streams.front.keys.ring import KeyRing
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.reconnect import made_anew, make_consumer
from streams.metrics import definitions as metrics
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.front")

_POLL_MS: Final = 1000
_FETCH_WAIT_MS: Final = 500
"""A record that comes meanwhile ends the wait."""


class KeyReader:
    """Fills `ring` from the topic's only partition, from its beginning on, and follows it. It belongs to no group.

    A front that cannot read goes on with the keys that it knows, and begins again until it can; `front_keys` is then among what
    makes /readyz fail.
    """

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.ring = KeyRing()
        self.caught_up = asyncio.Event()
        """Set once everything was read that the topic held when reading began."""
        self._topic = topic
        self._partition = TopicPartition(topic, 0)
        self._client_options = client_options
        self._next = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns when all keys are known. A broker that is away is waited for."""
        self._task = supervised("front_keys", self._read)
        await self.caught_up.wait()

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _read(self) -> None:
        consumer = make_consumer(
            **{
                **self._client_options,
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "earliest",
                "isolation_level": "read_committed",
                "fetch_max_wait_ms": _FETCH_WAIT_MS,
            }
        )
        try:
            await consumer.start()
            begin = (await begin_offsets(consumer, [self._partition]))[self._partition]
            stop = (await end_offsets(consumer, [self._partition]))[self._partition]
            consumer.assign([self._partition])
            if not begin <= self._next <= stop:
                self._begin_anew(begin)
            consumer.seek(self._partition, self._next)
            while True:
                if self._next >= stop:
                    self.caught_up.set()
                fetched = await consumer.getmany(self._partition, timeout_ms=_POLL_MS)
                if made_anew(consumer, self._topic):
                    log.warning("the topic of keys was made anew, it is read from its start", topic=self._topic)
                    self._begin_anew(0)
                    consumer.seek(self._partition, 0)
                    continue
                for record in fetched.get(self._partition, ()):
                    self._note(record)
                self._next = await consumer.position(self._partition)
                metrics.FRONT_KEYS.set(len(self.ring))
        finally:
            await consumer.stop()

    def _begin_anew(self, offset: int) -> None:
        """What was read is of another log, or some of what came since is gone."""
        self.ring.clear()
        self._next = offset

    def _note(self, record: Any) -> None:
        fault = self.ring.note(record.key, record.value)
        if fault == "full":
            log.error("there are more keys than a front keeps, this one opens nothing", offset=record.offset)
        elif fault is not None:
            log.warning("a record on the topic of keys is none, it opens nothing", offset=record.offset)
