"""`agent.cancels`, read by every worker for itself, in no group: the last hour at its start, then what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.cancel import Cancel, parse_cancel
from schemas.limits import CANCEL_RECORD_BYTES, MIB
from streams.backoff import equal_jitter_s, exponential_s
from streams.cancels.book import KEPT_S, MOST
from streams.kafka.follow import LogFollower
from streams.kafka.records import Record
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.cancels")

_WITHIN_S: Final = 5.0
"""How long a start waits for the last hour's cancels: a broker that is slow is no reason for a worker not to work."""
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
_LOG_APPEND_TIME: Final = 1


class CancelReader:
    """Hands every cancel, with the broker's time of it, to `take`, in their order."""

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topic: str,
        take: Callable[[Cancel, float], None],
        now: Callable[[], float],
    ) -> None:
        # Uncommitted: else one transaction that stays open would hold up everybody's cancels.
        self._follower = LogFollower(
            client_options,
            [TopicPartition(topic, 0)],
            self._take_record,
            isolation="read_uncommitted",
            on_read=self._read,
            begin=self._begin_at,
            tolerant=True,
            fetch_bytes=MIB,
        )
        self._topic = topic
        self._take = take
        self._now = now
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns once the last hour is read, or after 5 s."""
        self._task = supervised("cancels", self._run)
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._follower.caught_up.wait()
        except TimeoutError:
            log.warning("not all cancels are read yet, working without them", topic=self._topic)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._follower.run()
            except Exception as error:  # a worker works without cancels
                self._failures += 1
                if self._failures == 1:
                    log.warning("cancels are not read now, trying again", error=str(error) or repr(error))
                await asyncio.sleep(equal_jitter_s(exponential_s(self._failures, _FIRST_RETRY_S, _LAST_RETRY_S)))

    def _read(self) -> None:
        self._failures = 0

    async def _begin_at(self, consumer: AIOKafkaConsumer, partition: TopicPartition, first: int, last: int) -> int:
        """The first cancel that may still count."""
        since_ms = round((self._now() - KEPT_S) * 1000)
        found = (await consumer.offsets_for_times({partition: max(0, since_ms)}))[partition]
        return max(first, last - MOST, last if found is None else found.offset)

    def _take_record(self, record: Record) -> None:
        value = record.value
        try:
            if value is None or len(value) > CANCEL_RECORD_BYTES:
                raise ValueError("the value is null" if value is None else "the value is too large")
            cancel = parse_cancel(value)
        except ValueError as error:
            log.warning("not a cancel, left out", offset=record.offset, error=str(error).splitlines()[0][:200])
            return
        by_broker = getattr(record, "timestamp_type", _LOG_APPEND_TIME) == _LOG_APPEND_TIME
        self._take(cancel, record.timestamp / 1000 if by_broker and record.timestamp is not None else self._now())
