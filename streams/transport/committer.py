"""Commits of the positions of a worker's partitions, partition by partition.

What the coordinator refuses of one partition is that partition's matter; all others are committed. A broker that takes less
metadata than we write (`offset.metadata.max.bytes`, by default 4,096) is found out by halving, and said once: a partition whose
finished records no longer fit is held until its head is finished, so that what a crash would repeat stays as little as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.group_offsets import GroupOffsets, moved
from streams.kafka.records import Position
from streams.kafka.repeats import Repeats
from streams.metrics import definitions as metrics
from streams.transport import commit_metadata
from streams.transport.offsets import PartitionOffsets
from topics.broker_errors import explain_error, name_of

log = structlog.get_logger("headrace.transport")

_TIMEOUT_S: Final = 5.0
_METADATA_TOO_LARGE: Final = 12
_METADATA_FULL: Final = "too many finished records wait behind an unfinished one"

Hold = Callable[[TopicPartition, str], None]


class Committer:
    """Commits what has moved. `hold` and `release` pause a partition whose commit can carry no more."""

    def __init__(self, offsets: GroupOffsets, hold: Hold, release: Hold) -> None:
        self._offsets = offsets
        self._hold = hold
        self._release = release
        self._lock = asyncio.Lock()
        self._repeats = Repeats()
        self.metadata_chars = commit_metadata.LIMIT_CHARS
        self.failing_since: float | None = None
        """Monotonic time since which no commit has succeeded though there was something to commit."""

    async def commit(
        self, partitions: Mapping[TopicPartition, PartitionOffsets], joining_since: int | None = None
    ) -> bool:
        """Commit every partition whose position has moved; whether all were. What was refused is tried again with the next.

        joining_since: of a member that waits for its group to rebalance, the generation that the partitions are from.
        """
        partitions = dict(partitions)  # an assignment that comes meanwhile changes whose they are
        async with self._lock:
            began = time.monotonic()
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    refused = await self._commit_until_it_fits(partitions, joining_since)
            except (KafkaError, TimeoutError) as error:
                self._failed(explain_error(error))
                return False
        if refused is None:
            return False
        if not refused:
            self.failing_since = None
            metrics.COMMITS.labels("ok").inc()
            metrics.COMMIT_SECONDS.observe(time.monotonic() - began)
            if self._repeats.over("commit"):
                log.info("commits work again")
            return True
        if moved(refused.values()):  # decided at the next assignment
            log.info("commit refused, partitions are moving", error=name_of(next(iter(refused.values()))))
            metrics.COMMITS.labels("refused").inc()
            return False
        topic, number = next(iter(refused))
        self._failed(f"{name_of(refused[TopicPartition(topic, number)])} ({topic}:{number})", len(refused))
        return False

    def _failed(self, why: str, partitions: int | None = None) -> None:
        now = time.monotonic()
        if self.failing_since is None:
            self.failing_since = now
        metrics.COMMITS.labels("failed").inc()
        if times := self._repeats.due("commit", now):
            about: dict[str, Any] = {} if partitions is None else {"partitions": partitions}
            log.warning("commit failed, next try with the next commit", error=why, times=times, **about)

    async def _commit_until_it_fits(
        self, partitions: Mapping[TopicPartition, PartitionOffsets], joining_since: int | None
    ) -> dict[TopicPartition, int] | None:
        """The error codes of those that were not committed; None where there was nothing to commit."""
        positions = self._positions(partitions, partitions)
        if not positions:
            return None
        refused: dict[TopicPartition, int] = {}
        while positions:
            for partition, position in positions.items():
                partitions[partition].attempt(position)
            if joining_since is None:
                found = await self._offsets.commit(positions)
            else:
                found = await self._offsets.commit_while_joining(positions, joining_since)
            for partition, position in positions.items():
                if partition not in found:
                    partitions[partition].commit(position)
            refused |= {partition: code for partition, code in found.items() if code != _METADATA_TOO_LARGE}
            too_large = [partition for partition, code in found.items() if code == _METADATA_TOO_LARGE]
            longest = max((len(positions[partition].metadata) for partition in too_large), default=0)
            if not longest:
                return refused | dict.fromkeys(too_large, _METADATA_TOO_LARGE)
            self._learn(longest)
            positions = self._positions(partitions, too_large)
        return refused

    def _learn(self, refused_chars: int) -> None:
        """The broker takes less than that."""
        self.metadata_chars = min(self.metadata_chars, refused_chars) // 2
        log.warning(
            "the broker takes less metadata with a commit than Kafka does by default: partitions are held earlier, "
            "so that a crash repeats no more; set offset.metadata.max.bytes to 4096 or more to mend it",
            refused_chars=refused_chars, now_at_most=self.metadata_chars,
        )  # fmt: skip

    def _positions(
        self, partitions: Mapping[TopicPartition, PartitionOffsets], wanted: Collection[TopicPartition]
    ) -> dict[TopicPartition, Position]:
        """What is to be committed of these; on the way, hold partitions whose commit can carry no more, release the others."""
        positions = {}
        for partition in wanted:
            offsets = partitions[partition]
            position = offsets.snapshot(self.metadata_chars)
            if position.next_offset is not None and position != offsets.committed:
                positions[partition] = position
            if offsets.live:
                (self._hold if offsets.metadata_full else self._release)(partition, _METADATA_FULL)
        return positions
