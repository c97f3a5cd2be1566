"""Corrupt batches: the partition is held, its batch is fetched again later, and what is found twice stays so.

A batch may have been corrupted on its way. So the first finding fetches it once more, soon. From the second on the partition
stands, and is tried again seldom; or the batch is set aside, where `kafka.corrupt_batches` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka.structs import TopicPartition

from streams.kafka.batch_reader import CorruptBatchError
from streams.kafka.fetched import Fetched
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.transport")

_REASON: Final = "its next batch is corrupt"
_AGAIN_S: Final = 1.0
_STANDS_S: Final = 60.0


class CorruptBatches:
    """The partitions whose next batch was found to be corrupt, and how often.

    `hold` and `release` pause a partition and let it go on. `aside`: what is corrupt twice is set aside, the partition goes on.
    """

    def __init__(
        self,
        fetched: Fetched,
        hold: Callable[[TopicPartition, str], None],
        release: Callable[[TopicPartition, str], None],
        *,
        aside: bool,
    ) -> None:
        self._fetched = fetched
        self._hold = hold
        self._release = release
        self._aside = aside
        self._times: dict[TopicPartition, int] = {}

    def read(self, partition: TopicPartition) -> None:
        """Records of the partition could be read: what was found before is over."""
        self._times.pop(partition, None)

    def found(self, partition: TopicPartition, error: CorruptBatchError) -> None:
        """The partition's next batch is corrupt: hold the partition, and fetch the batch again later."""
        times = self._times[partition] = self._times.get(partition, 0) + 1
        if times == 1 or not self._aside:
            log.error(
                "a partition stands, its next batch is corrupt" if times > 1 else "a corrupt batch, it is fetched again",
                partition="{}:{}".format(*partition),
                error=str(error),
                setting="kafka.corrupt_batches",
            )  # fmt: skip
        metrics.CORRUPT_BATCHES.inc()
        self._hold(partition, _REASON)
        wait_s = _AGAIN_S if times == 1 else _STANDS_S
        asyncio.get_running_loop().call_later(wait_s, self._fetch_again, partition)

    def _fetch_again(self, partition: TopicPartition) -> None:
        if self._aside:
            self._fetched.distrust(partition)
        else:
            self._fetched.fetch_again(partition)
        self._release(partition, _REASON)
