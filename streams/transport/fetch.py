"""Taking fetched records out of aiokafka, partition by partition, in an order of our own.

aiokafka's public `getmany` serves in the order of arrival, up to a number of records, so that a flood on one topic starves
the others; and its waiting ends only when data arrives. Everything of aiokafka's private side that the hand-out needs is in
this file, and tests/contract/test_aiokafka.py holds its names to the installed version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition

from streams.transport.offsets import Position, Record


class Fetch:
    """The fetched records of one aiokafka consumer."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._fetcher = consumer._fetcher
        self._subscriptions = consumer._subscription
        # Partitions that we leave undrained on purpose must not hold back the fetches of the others.
        self._fetcher._prefetch_backoff = 0.0
        # Inside this context aiokafka counts no idle time. Held for good: neither a pause nor a long drain may end in
        # max_poll_interval, after which it would leave the group and wait for a poll before it comes back.
        self._context = self._subscriptions.fetch_context()
        self._context.__enter__()

    def ready(self) -> Sequence[TopicPartition]:
        """Partitions that have fetched records, or an error to report."""
        if self._consumer._closed or self._fetcher._closed:
            raise ConsumerStoppedError
        return () if self._subscriptions.reassignment_in_progress else list(self._fetcher._records)

    def take(self, partition: TopicPartition, most: int) -> tuple[Sequence[Record], int | None]:
        """Up to `most` records of a ready partition, and the offset behind them (markers and aborted ones included).

        No records and no offset: they were of an older assignment. Raises what the fetch raised, a KafkaError.
        """
        fetcher = self._fetcher
        found = fetcher._records[partition]
        if type(found) is not FetchResult:
            del fetcher._records[partition]
            fetcher._notify(fetcher._wait_consume_future)
            found.check_raise()
        records = found.getall(most)
        position = found._assignment.state_value(partition).position if found._assignment.active else None
        if not found.has_more():
            del fetcher._records[partition]
            fetcher._notify(fetcher._wait_consume_future)
        return records, position

    async def wait(self, timeout_s: float) -> None:
        """Until new records have come, `wake` was called, or the time is over."""
        waiter = self._fetcher._create_fetch_waiter()
        try:
            await asyncio.wait([waiter], timeout=timeout_s)
            if waiter.done():
                waiter.result()
        finally:
            if not waiter.done():
                waiter.cancel()

    def wake(self) -> None:
        """Let `wait` return: what was full is open again."""
        for waiter in list(self._fetcher._fetch_waiters):
            self._fetcher._notify(waiter)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetch from `offset` on; what was fetched is dropped."""
        self._fetcher.seek_to(partition, offset)


class Membership:
    """What a consumer's group coordinator knows: generation, committed positions, the age of the last heartbeat."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._coordinator = consumer._coordinator
        self.last_heartbeat_at: float | None = None
        """Monotonic time of the last heartbeat that the broker accepted. aiokafka keeps it in a local variable."""
        beat = self._coordinator._do_heartbeat

        async def watched() -> bool:
            alive: bool = await beat()
            if alive:
                self.last_heartbeat_at = time.monotonic()
            return alive

        self._coordinator._do_heartbeat = watched

    @property
    def generation(self) -> int:
        """The group's generation that this worker is a member of; negative when it is not in the group."""
        return int(self._coordinator.generation)

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:
        """Committed offsets with their metadata, for all partitions in one request."""
        found = await self._coordinator.fetch_committed_offsets(list(partitions))
        return {
            partition: Position(found[partition].offset, found[partition].metadata or "")
            if partition in found
            else Position(None)
            for partition in partitions
        }
