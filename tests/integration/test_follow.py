"""A log that is followed: from its beginning, without a gap, and anew where it is another log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from streams.kafka.follow import LogFollower
from streams.kafka.records import Record
from tests.support.pipeline import Pipeline

Log = tuple[str, AIOKafkaProducer, AIOKafkaAdminClient]


@asynccontextmanager
async def a_log(pipeline: Pipeline, name: str, partitions: int = 1) -> AsyncIterator[Log]:
    admin = AIOKafkaAdminClient(**pipeline.client_options)
    async with AIOKafkaProducer(**pipeline.client_options, acks="all") as producer:
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
            yield name, producer, admin
        finally:
            await admin.close()


class Reader:
    """What a follower hands on."""

    def __init__(self, pipeline: Pipeline, topic: str, partitions: int = 1, **options: Any) -> None:
        self.values: list[bytes | None] = []
        self.times_anew = 0
        self.fails_at: bytes | None = None
        places = [TopicPartition(topic, number) for number in range(partitions)]
        self.follower = LogFollower(pipeline.client_options, places, self._take, on_anew=self._anew, **options)

    def _take(self, record: Record) -> None:
        if record.value == self.fails_at:
            self.fails_at = None
            raise RuntimeError("cannot take it now")
        self.values.append(record.value)

    def _anew(self) -> None:
        self.times_anew += 1
        self.values.clear()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.follower.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - what a follower hands on has no event
                await asyncio.sleep(0.05)


async def write(producer: AIOKafkaProducer, topic: str, *values: bytes, partition: int = 0) -> None:
    for value in values:
        await producer.send_and_wait(topic, value, partition=partition)


tolerantly = pytest.mark.parametrize("tolerant", [False, True], ids=["plain", "tolerant"])


@tolerantly
async def test_it_reads_from_the_beginning_follows_and_goes_on_after_a_fault(
    pipeline: Pipeline, tolerant: bool
) -> None:
    async with a_log(pipeline, f"follow.goes-on-{tolerant}") as (topic, producer, _):
        await write(producer, topic, b"1", b"2")
        reader = Reader(pipeline, topic, tolerant=tolerant)
        reader.fails_at = b"4"
        async with reader.following() as task:
            await asyncio.wait_for(reader.follower.caught_up.wait(), 30)
            assert reader.values == [b"1", b"2"]
            assert reader.follower.reading.is_set()
            await write(producer, topic, b"3", b"4", b"5")
            await asyncio.wait([task], timeout=30)
            assert isinstance(task.exception(), RuntimeError)
            assert not reader.follower.reading.is_set()
        async with reader.following():
            await reader.until(lambda: len(reader.values) >= 5)
        assert (reader.values, reader.times_anew) == ([b"1", b"2", b"3", b"4", b"5"], 1)
        assert reader.follower.has_read(TopicPartition(topic, 0), 4)
        assert not reader.follower.has_read(TopicPartition(topic, 0), 5)


@tolerantly
async def test_what_a_transaction_leaves_open_holds_up_only_those_who_read_committed(
    pipeline: Pipeline, tolerant: bool
) -> None:
    async with a_log(pipeline, f"follow.transaction-{tolerant}") as (topic, producer, _):
        everything = Reader(pipeline, topic, tolerant=tolerant)
        committed = Reader(pipeline, topic, tolerant=tolerant, isolation="read_committed")
        async with (
            everything.following(),
            committed.following(),
            AIOKafkaProducer(**pipeline.client_options, transactional_id=topic) as transactional,
        ):
            await transactional.begin_transaction()
            await write(transactional, topic, b"aborted")
            await write(producer, topic, b"behind")
            await everything.until(lambda: everything.values == [b"aborted", b"behind"])
            assert committed.values == []
            await transactional.abort_transaction()
            await committed.until(lambda: committed.values == [b"behind"])
            late = Reader(pipeline, topic, tolerant=tolerant, isolation="read_committed")
            async with late.following():  # the log ends with a marker, which is no record
                await asyncio.wait_for(late.follower.caught_up.wait(), 30)
            assert late.values == [b"behind"]


@tolerantly
async def test_a_topic_that_is_made_anew_is_read_from_its_beginning(pipeline: Pipeline, tolerant: bool) -> None:
    async with a_log(pipeline, f"follow.anew-{tolerant}") as (topic, producer, admin):
        await write(producer, topic, b"1", b"2", b"3")
        reader = Reader(pipeline, topic, tolerant=tolerant)
        async with reader.following():
            await reader.until(lambda: len(reader.values) == 3)
            await admin.delete_topics([topic])
            await asyncio.sleep(1)
            await admin.create_topics([NewTopic(topic, 1, 1)])
            async with AIOKafkaProducer(**pipeline.client_options, acks="all") as another:
                await write(another, topic, b"a", b"b", b"c", b"d")
            await reader.until(lambda: reader.values == [b"a", b"b", b"c", b"d"])
        assert reader.times_anew == 2


async def test_what_was_deleted_while_it_was_away_is_told_as_anew(pipeline: Pipeline) -> None:
    async with a_log(pipeline, "follow.deleted") as (topic, producer, admin):
        await write(producer, topic, b"1", b"2")
        reader = Reader(pipeline, topic)
        async with reader.following():
            await reader.until(lambda: len(reader.values) == 2)
        await write(producer, topic, b"3", b"4")
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
        async with reader.following():
            await reader.until(lambda: reader.values == [b"4"])
        assert reader.times_anew == 2


async def test_several_partitions_from_their_ends_each_in_its_order(pipeline: Pipeline) -> None:
    async def at_the_end(_: object, __: object, ___: int, last: int) -> int:
        return last

    begin: Callable[..., Awaitable[int]] = at_the_end
    async with a_log(pipeline, "follow.several", partitions=2) as (topic, producer, _):
        await write(producer, topic, b"before")
        reader = Reader(pipeline, topic, partitions=2, begin=begin)
        async with reader.following():
            await asyncio.wait_for(reader.follower.reading.wait(), 30)
            await asyncio.gather(
                write(producer, topic, b"a1", b"a2", partition=0), write(producer, topic, b"b1", b"b2", partition=1)
            )
            await reader.until(lambda: len(reader.values) == 4)
        assert [value for value in reader.values if value and value.startswith(b"a")] == [b"a1", b"a2"]
        assert [value for value in reader.values if value and value.startswith(b"b")] == [b"b1", b"b2"]


async def test_each_topic_has_its_own_function_and_what_came_together_keeps_their_order(pipeline: Pipeline) -> None:
    """As the front's lane: deltas before the answer that ends them, though the answer was written first."""
    taken: list[tuple[str, bytes | None]] = []
    names = ("follow.first", "follow.second")
    async with a_log(pipeline, names[0]) as (_, producer, _), a_log(pipeline, names[1]):
        for value in (b"1", b"2"):
            await write(producer, names[1], value)
            await write(producer, names[0], value)
        follower = LogFollower(
            pipeline.client_options,
            [TopicPartition(name, 0) for name in names],
            {
                names[0]: lambda record: taken.append(("first", record.value)),
                names[1]: lambda record: taken.append(("second", record.value)),
            },
            tolerant=True,
            pause_s=0.002,
        )
        task = asyncio.create_task(follower.run())
        await asyncio.wait_for(follower.caught_up.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert taken == [("first", b"1"), ("first", b"2"), ("second", b"1"), ("second", b"2")]
