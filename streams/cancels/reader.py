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
from streams.kafka.batch_reader import CorruptBatchError, HeavyBatchError
from streams.kafka.fetch import Fetch
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.reconnect import made_anew, make_consumer
from streams.kafka.records import Record
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.cancels")

_MOST_RECORDS: Final = 500
"""Between two looks at everything else: parsing takes 13 us a record."""
_WAIT_S: Final = 0.5
_PAUSE_S: Final = 0.02
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
        self._client_options = client_options
        self._partition = TopicPartition(topic, 0)
        self._take = take
        self._now = now
        self._next: int | None = None
        """Where reading goes on after a fault."""
        self._behind: int | None = None
        """The end at the start: what is before it is read before the first request."""
        self._caught_up = asyncio.Event()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns once the last hour is read, or after 5 s."""
        self._task = supervised("cancels", self._run)
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._caught_up.wait()
        except TimeoutError:
            log.warning("not all cancels are read yet, working without them", topic=self._partition.topic)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except Exception as error:  # a worker works without cancels
                self._failures += 1
                if self._failures == 1:
                    log.warning("cancels are not read now, trying again", error=str(error) or repr(error))
                await asyncio.sleep(equal_jitter_s(exponential_s(self._failures, _FIRST_RETRY_S, _LAST_RETRY_S)))

    async def _read(self) -> None:
        """Until the topic is made anew."""
        # Uncommitted: else one transaction that stays open would hold up everybody's cancels.
        consumer = make_consumer(
            **{
                **self._client_options,
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "earliest",
                "isolation_level": "read_uncommitted",
                "fetch_max_wait_ms": 500,
                "fetch_max_bytes": MIB,
                "max_partition_fetch_bytes": MIB,
            }
        )
        try:
            await consumer.start()
            fetch = Fetch(consumer, pause_s=_PAUSE_S)
            consumer.assign([self._partition])
            consumer.seek(self._partition, await self._begin_at(consumer))
            self._failures = 0
            self._look_caught_up()
            while True:
                await self._take_fetched(fetch)
                if made_anew(consumer, self._partition.topic):
                    log.warning("the topic was made anew, cancels are read from its start", topic=self._partition.topic)
                    self._next = None
                    return
        finally:
            await consumer.stop()

    async def _begin_at(self, consumer: AIOKafkaConsumer) -> int:
        """The first cancel that may still count, or where reading has stopped."""
        partition = [self._partition]
        first, last = (
            (await begin_offsets(consumer, partition))[self._partition],
            (await end_offsets(consumer, partition))[self._partition],
        )
        if self._behind is None:
            self._behind = last
        if self._next is not None and first <= self._next <= last:
            return self._next
        since_ms = round((self._now() - KEPT_S) * 1000)
        found = (await consumer.offsets_for_times({self._partition: max(0, since_ms)}))[self._partition]
        self._next = max(first, last - MOST, last if found is None else found.offset)
        return self._next

    async def _take_fetched(self, fetch: Fetch) -> None:
        if not fetch.ready():
            await fetch.wait(_WAIT_S)
            return
        try:
            records, position = fetch.take(self._partition, _MOST_RECORDS)
        except HeavyBatchError:
            await fetch.unpack(self._partition)
            return
        except CorruptBatchError as error:  # a cancel less
            log.warning("cancels cannot be read", error=str(error))
            fetch.distrust(self._partition)
            return
        for record in records:
            self._take_record(record)
        if position is not None:
            self._next = position
            self._look_caught_up()
        await asyncio.sleep(0)

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

    def _look_caught_up(self) -> None:
        if self._next is not None and self._behind is not None and self._next >= self._behind:
            self._caught_up.set()
