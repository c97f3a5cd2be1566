"""Fetched records, partition by partition, as the hand-out takes them.

Two ways lead to them: `fetch.Fetch`, with fetch sessions and an order of its own, on the client's private side; and
`plain_fetch.PlainFetch`, on its public side alone (`kafka.fetch = "plain"`). tests/contract/test_fetched.py holds both to this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aiokafka.structs import TopicPartition

from streams.kafka.log_epochs import NO_EPOCH
from streams.kafka.records import Record

Taken = tuple[Sequence[Record], int | None]
"""Records, and the offset behind them (markers and aborted ones included); no offset: nothing was taken."""


class Fetched(Protocol):
    """What one consumer has fetched. Nothing here blocks the event loop.

    After the consumer's end `ready` or `wait` raises ConsumerStoppedError.
    """

    def ready(self) -> Sequence[TopicPartition]:
        """Partitions that have fetched records, or an error to report."""

    def take(self, partition: TopicPartition, most: int) -> Taken:
        """Up to `most` records of a ready partition. Raises what its fetch raised, a KafkaError.

        `HeavyBatchError`: call `unpack` first. `CorruptBatchError`: raised until `distrust`, `fetch_again` or a seek.
        """

    async def unpack(self, partition: TopicPartition) -> bool:
        """Unpack the batch for which `take` raised HeavyBatchError, away from the loop; whether the partition is ready."""

    def distrust(self, partition: TopicPartition) -> None:
        """Fetch the corrupt batch of a ready partition once more; if it is as corrupt then, it is set aside."""

    def fetch_again(self, partition: TopicPartition) -> None:
        """Drop what was fetched of the partition, if anything, and fetch from where it stands."""

    async def wait(self, timeout_s: float) -> None:
        """Until new records have come, `wake` was called, or the time is over.

        Call it when everything was taken that may be: what is left is left on purpose, and holds back no fetch of others.
        """

    def wake(self) -> None:
        """Let `wait` return: what was full is open again."""

    def seek(self, partition: TopicPartition, offset: int, epoch: int = NO_EPOCH) -> None:
        """Fetch from `offset` on; what was fetched is dropped. `epoch`: of the leader whose log the offset is of."""

    def seek_to_start(self, partition: TopicPartition) -> None:
        """Fetch from where the broker's log begins."""

    def epoch(self, partition: TopicPartition) -> int:
        """The leader epoch of what was fetched last; -1 where it is not known."""

    def stalled_s(self, now: float) -> float:
        """Seconds for which no broker has answered a fetch, though one was asked; 0 where that is not known."""
