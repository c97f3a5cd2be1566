"""The lane: the one partition that a front reads of the fronts' topic, and of the deltas, from the moment at which it began."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.kafka.follow import LogFollower, Take
from streams.supervise import end, supervised

_MOST_AGAIN: Final = 10_000
"""Records that are read again where the log lost its place: minutes of a busy lane, not its whole day."""


_PAUSE_S: Final = 0.002
"""Between fetches that bring few records: a token waits for it, and a fetch costs as much as many tokens."""


class Lane:
    """Hands every record of one partition of each topic to the topic's own function, in the order of its partition; what has come
    of several topics in the order of `topics`. It belongs to no group: nobody can take it away.
    """

    def __init__(
        self,
        client_options: Mapping[str, object],
        topics: Mapping[str, Take],
        number: int,
    ) -> None:
        self.number = number
        partitions = [TopicPartition(topic, number) for topic in topics]
        self._follower = LogFollower(
            client_options,
            partitions,
            topics,
            begin=self._begin_at,
            reset="latest",
            tolerant=True,
            pause_s=_PAUSE_S,
        )
        self._has_begun = False
        self.reading = self._follower.reading
        """Set while answers arrive here: a request that is published now is answered here."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns when answers to what is published from now on will be read."""
        self._task = supervised("front_lane", self._follower.run)
        await self.reading.wait()
        self._has_begun = True

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    async def _begin_at(self, consumer: AIOKafkaConsumer, partition: TopicPartition, first: int, last: int) -> int:
        """The end; of a log that is not the one that was read, a little before: what is asked already may be answered there."""
        return max(first, last - _MOST_AGAIN) if self._has_begun else last
