"""A topic of answers or deltas: read whole, every partition, also those that are added later; one partition; or in a group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from headrace_client.connection import stop_within
from headrace_client.errors import TopicMissing, Unreachable

log = logging.getLogger("headrace_client")

_POLL_MS: Final = 1000
_LOOKS: Final = 4
_RETRY_S: Final = 0.5
_MOST_RECORDS: Final = 500
_STOP_S: Final = 2.0


class TopicReader:
    """Reads one topic. Once `start` has returned, nothing that is written from then on can be missed.

    Args:
        since: begin with what the broker took at this moment or later; else at the end.
        group_id: share the topic with other readers of this group and go on where it left off, at first with the oldest
            answer that is there. `since` and `lane` mean nothing then.
        lane: read this partition alone.
    """

    def __init__(
        self,
        topic: str,
        options: Mapping[str, Any],
        *,
        since: datetime | None = None,
        group_id: str | None = None,
        lane: int | None = None,
    ) -> None:
        self._topic = topic
        self._since = since
        self._group_id = group_id
        self._lane = lane
        self._next: dict[TopicPartition, int] = {}
        # Where an offset is gone (retention, a topic made anew) the oldest that is there comes next: an answer that is
        # read twice is known as such, one that was skipped is lost.
        self._consumer = AIOKafkaConsumer(
            **options, group_id=group_id, enable_auto_commit=False, auto_offset_reset="earliest"
        )

    async def start(self) -> None:
        """Raises Unreachable, TopicMissing."""
        try:
            await self._consumer.start()
            await self._begin()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise Unreachable(f"{self._topic} cannot be read: {error!r}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if not await stop_within(self._consumer.stop(), _STOP_S):
            await stop_within(self._consumer._client.close(), _STOP_S)  # its stop had not come so far

    async def run(self, on_record: Callable[[Any], None]) -> None:
        """Read until cancelled. A broker that is away is waited for."""
        while True:
            for record in await self.next():
                on_record(record)

    async def next(self) -> list[Any]:
        """What has come, after at most a second; in a group, what was handed out before need not come again then."""
        try:
            if self._group_id is None:
                self._follow_added()
            elif self._next:
                await self._consumer.commit(dict(self._next))
                self._next = {}
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        except (KafkaError, OSError) as error:
            log.warning("%s cannot be read now: %r", self._topic, error)
            if isinstance(error, (CommitFailedError, IllegalStateError)):
                self._next = {}  # the partitions are another reader's now, who reads these answers again
            await asyncio.sleep(_RETRY_S)
            return []
        for partition, records in batches.items():
            self._next[partition] = records[-1].offset + 1
        return [record for records in batches.values() for record in records]

    async def _partitions(self) -> set[int]:
        """The topic's; looked for more than once, because a broker hears of a new topic some time after it was made."""
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(_RETRY_S)
            # To ask about all topics creates none, as asking about one may; what the consumer itself knows of a topic that it is
            # not assigned to yet comes and goes with its refreshes.
            numbers = (await self._consumer._client.fetch_all_metadata()).partitions_for_topic(self._topic)
            if numbers:
                return set(numbers)
        raise TopicMissing(f"{self._topic}: no such topic, or none that this client may see")

    async def _begin(self) -> None:
        numbers = await self._partitions()
        if self._group_id is not None:
            self._consumer.subscribe([self._topic])
            return
        if self._lane is not None and self._lane not in numbers:
            raise TopicMissing(f"{self._topic} has no partition {self._lane} for this lane; it has {len(numbers)}")
        wanted = numbers if self._lane is None else {self._lane}
        partitions = [TopicPartition(self._topic, number) for number in sorted(wanted)]
        self._consumer.assign(partitions)
        self._next = await self._consumer.end_offsets(partitions)
        if self._since is not None:
            moment = int(self._since.timestamp() * 1000)
            found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, moment))
            self._next |= {partition: place.offset for partition, place in found.items() if place is not None}
        self._seek()

    def _follow_added(self) -> None:
        """Partitions that were added are read from their start; the others go on where they are."""
        added = self._numbers() - {partition.partition for partition in self._next}
        if added and self._lane is None:
            self._next |= {TopicPartition(self._topic, number): 0 for number in added}
            self._consumer.assign(list(self._next))
            self._seek()

    def _seek(self) -> None:
        for partition, offset in self._next.items():
            self._consumer.seek(partition, offset)

    def _numbers(self) -> set[int]:
        return self._consumer.partitions_for_topic(self._topic) or set()
