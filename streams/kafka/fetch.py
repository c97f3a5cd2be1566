"""Taking fetched records out of aiokafka, partition by partition, in an order of our own.

aiokafka's public `getmany` serves in the order of arrival, up to a number of records, so that a flood on one topic starves
the others; and its waiting ends only when data arrives. Everything of aiokafka's private side that the hand-out needs is in
this file and in fetcher.py, and tests/contract/test_aiokafka.py holds its names to the installed version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.fetcher import RecordFetcher
from streams.kafka.log_epochs import NO_EPOCH
from streams.kafka.records import Record
from streams.kafka.sealed import verified

PAUSE_S = 0.004
"""Between fetches that bring few records (docs/decisions/0012-paced-fetches.md has what it costs and brings)."""

MOST_UNPACKED_BYTES = 16 * 2**20
"""Of one batch, where no setting says otherwise."""


class Fetch:
    """The fetched records of one aiokafka consumer. Make it before the consumer has partitions."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        pause_s: float = PAUSE_S,
        most_unpacked_bytes: int = MOST_UNPACKED_BYTES,
        on_cut: Callable[[TopicPartition, int | None], None] = lambda partition, end: None,
    ) -> None:
        """`on_cut` is told of a log that was cut, and at which offset; None: its topic was made anew."""
        self._consumer = consumer
        self._fetcher = RecordFetcher(consumer, pause_s, most_unpacked_bytes, on_cut)
        self._subscriptions = consumer._subscription
        # Inside this context aiokafka counts no idle time. Held for good: neither a pause nor a long drain may end in
        # max_poll_interval, after which it would leave the group and wait for a poll before it comes back.
        self._context = self._subscriptions.fetch_context()
        self._context.__enter__()

    def stalled_s(self, now: float) -> float:
        """Seconds for which no broker has answered a fetch, though one was asked. `now` is monotonic."""
        since = self._fetcher.asked_in_vain_since
        return 0.0 if since is None else max(0.0, now - since)

    def ready(self) -> Sequence[TopicPartition]:
        """Partitions that have fetched records, or an error to report."""
        if self._consumer._closed or self._fetcher._closed:
            raise ConsumerStoppedError
        return () if self._subscriptions.reassignment_in_progress else list(self._fetcher._records)

    def take(self, partition: TopicPartition, most: int) -> tuple[Sequence[Record], int | None]:
        """Up to `most` records of a ready partition, and the offset behind them (markers and aborted ones included).

        No records and no offset: they were of an older assignment. Raises what the fetch raised, a KafkaError;
        `HeavyBatchError`: call `unpack` first; and `CorruptBatchError`, again and again, until `distrust` or a seek.
        """
        found = self._fetcher._records[partition]
        if type(found) is not FetchResult:
            self._fetcher.drop(partition)
            found.check_raise()
        records: Sequence[Record] = ()
        if found.check_assignment(partition) and found.has_more():
            unread = found._partition_records
            records = unread.read(most)
            found._update_position()
            if unread.done:
                found._partition_records = None
        position = found._assignment.state_value(partition).position if found._assignment.active else None
        if not found.has_more():
            self._fetcher.drop(partition)
        return verified(self._consumer, partition, records), position

    async def unpack(self, partition: TopicPartition) -> bool:
        """Unpack the batch for which `take` raised HeavyBatchError, away from the loop; whether the partition is ready."""
        found = self._fetcher._records[partition]
        await asyncio.to_thread(found._partition_records.unpack)
        return partition in self.ready() and self._fetcher._records[partition] is found

    def distrust(self, partition: TopicPartition) -> None:
        """Fetch the corrupt batch of a ready partition once more; if it is as corrupt then, it is set aside."""
        self._fetcher.distrust(partition)

    def fetch_again(self, partition: TopicPartition) -> None:
        """Drop what was fetched of the partition, if anything, and fetch from where it stands."""
        if partition in self._fetcher._records:
            self._fetcher.drop(partition)

    async def wait(self, timeout_s: float) -> None:
        """Until new records have come, `wake` was called, or the time is over.

        Call it when everything was taken that may be: what is left is left on purpose, and holds back no fetch any more.
        """
        self._fetcher.leave()
        waiter = self._fetcher._create_fetch_waiter()
        timer = asyncio.get_running_loop().call_later(timeout_s, self._fetcher._notify, waiter)
        try:
            await waiter
        except KafkaError:
            pass  # aiokafka tells the group's refusals here, too: membership.py reads them
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Let `wait` return: what was full is open again."""
        for waiter in list(self._fetcher._fetch_waiters):
            self._fetcher._notify(waiter)

    def epoch(self, partition: TopicPartition) -> int:
        """The leader epoch of what was fetched last; -1 where it is not known."""
        return self._fetcher.epochs.epoch(partition)

    def seek(self, partition: TopicPartition, offset: int, epoch: int = NO_EPOCH) -> None:
        """Fetch from `offset` on; what was fetched is dropped. The log is checked against the epoch first, where it is known."""
        self._fetcher.epochs.begin(partition, offset, epoch)
        self._fetcher.seek_to(partition, offset)

    def seek_to_start(self, partition: TopicPartition) -> None:
        """Fetch from where the broker's log begins."""
        self._fetcher.seek_to_start(partition)
