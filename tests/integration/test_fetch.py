"""When fetched records come: at once, whatever else the consumer does not take."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from ops.brokers import Broker
from streams.kafka.fetch import PAUSE_S, Fetch
from tests.integration.probe.clients import new_topic, producer
from tests.support.stopwatch import Stopwatch

LONG_WAIT_MS = 12_000
"""How long the broker holds a fetch: what waits for the end of one is seen to wait."""
SOON_S = 5.0


@asynccontextmanager
async def fetching(
    bootstrap: str, topic: str, partitions: int, pause_s: float = PAUSE_S, **options: Any
) -> AsyncIterator[Fetch]:
    """What a consumer of all partitions fetches, from their beginnings on."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=LONG_WAIT_MS,
        **options,
    )
    await consumer.start()
    try:
        fetch = Fetch(consumer, pause_s)
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        yield fetch
    finally:
        await consumer.stop()


async def take_from(fetch: Fetch, partition: TopicPartition) -> tuple[bytes, float]:
    """The next value of the partition and the seconds that it took; others are left."""
    watch = Stopwatch()
    while partition not in fetch.ready():
        await fetch.wait(10)
    records, _ = fetch.take(partition, 10)
    (record,) = records
    assert record.value is not None
    return record.value, watch.running_s


async def test_records_that_come_one_after_the_other_come_at_once(kafka: Broker) -> None:
    topic = await new_topic(kafka.bootstrap_servers, 2)  # the other one is empty: a fetch of it alone lasts
    async with fetching(kafka.bootstrap_servers, topic, 2) as fetch, producer(kafka.bootstrap_servers) as client:
        took = []
        for number in range(20):
            await client.send_and_wait(topic, b"%d" % number, partition=0)
            value, seconds = await take_from(fetch, TopicPartition(topic, 0))
            assert value == b"%d" % number
            took.append(seconds)
    assert max(took[1:]) < SOON_S


async def test_a_partition_that_is_left_holds_back_no_other(kafka: Broker) -> None:
    topic = await new_topic(kafka.bootstrap_servers, 2)
    left, taken = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with fetching(kafka.bootstrap_servers, topic, 2) as fetch, producer(kafka.bootstrap_servers) as client:
        await client.send_and_wait(topic, b"left", partition=0)
        while left not in fetch.ready():
            await fetch.wait(10)
        took = []
        for number in range(5):
            await client.send_and_wait(topic, b"%d" % number, partition=1)
            took.append((await take_from(fetch, taken))[1])
        assert max(took) < SOON_S
        assert (await take_from(fetch, left))[0] == b"left"


async def test_a_backlog_is_fetched_without_pauses_and_what_trickles_in_with_them(kafka: Broker) -> None:
    pause_s, backlog = 0.5, 1000
    topic = await new_topic(kafka.bootstrap_servers, 1)
    partition = TopicPartition(topic, 0)
    async with producer(kafka.bootstrap_servers) as client:
        for number in range(backlog):
            await client.send(topic, b"%0500d" % number, partition=0)
        await client.flush()
        # About 30 fetches: with a pause after each of them 15 s.
        async with fetching(kafka.bootstrap_servers, topic, 1, pause_s, max_partition_fetch_bytes=20_000) as fetch:
            watch, found = Stopwatch(), list[bytes | None]()
            while len(found) < backlog:
                await fetch.wait(1)
                while partition in fetch.ready():
                    found += [record.value for record in fetch.take(partition, backlog)[0]]
            assert found == [b"%0500d" % number for number in range(backlog)]
            assert watch.running_s < 10

            watch = Stopwatch()
            for number in range(3):  # the first one may find the fetcher waiting
                await client.send_and_wait(topic, b"%d" % number, partition=0)
                assert (await take_from(fetch, partition))[0] == b"%d" % number
            assert watch.passed_s > pause_s


async def test_what_is_left_holds_up_the_others_for_a_moment_only_and_goes_on_at_once_when_it_is_taken(
    kafka: Broker,
) -> None:
    topic = await new_topic(kafka.bootstrap_servers, 2)
    left, taken = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with fetching(kafka.bootstrap_servers, topic, 2) as fetch, producer(kafka.bootstrap_servers) as client:
        await client.send_and_wait(topic, b"0", partition=0)
        while left not in fetch.ready():
            await fetch.wait(10)
        took = list[float]()
        for number in range(1, 8):
            await client.send_and_wait(topic, b"%d" % number, partition=0)
            watch = Stopwatch()
            await client.send_and_wait(topic, b"%d" % number, partition=1)
            assert (await take_from(fetch, taken))[0] == b"%d" % number
            took.append(watch.running_s)
        assert statistics.median(took) < SOON_S

        await fetch.wait(0.05)  # so that a fetch of the other one is under way
        watch, found = Stopwatch(), list[bytes | None]()
        while len(found) < 8:
            while left in fetch.ready():
                found += [record.value for record in fetch.take(left, 10)[0]]
            if len(found) < 8:
                await fetch.wait(10)
        assert found == [b"%d" % number for number in range(8)]
        assert watch.running_s < SOON_S


async def test_a_backlog_of_one_partition_is_read_fetch_after_fetch_without_stalls(kafka: Broker) -> None:
    fetches, bytes_a_fetch, value_bytes = 40, 64 * 1024, 1000
    topic = await new_topic(kafka.bootstrap_servers, 1)
    partition = TopicPartition(topic, 0)
    backlog = fetches * bytes_a_fetch // value_bytes
    async with producer(kafka.bootstrap_servers) as client:
        for number in range(backlog):
            await client.send(topic, b"%0*d" % (value_bytes, number), partition=0)
        await client.flush()
    async with fetching(kafka.bootstrap_servers, topic, 1, max_partition_fetch_bytes=bytes_a_fetch) as fetch:
        while not fetch.ready():
            await fetch.wait(10)
        watch, read, parts = Stopwatch(), 0, 0
        while read < backlog:
            while partition in fetch.ready():
                read += len(fetch.take(partition, backlog)[0])
                parts += 1
            if read < backlog:
                await fetch.wait(10)
        seconds = watch.running_s
    assert parts >= fetches, "a fetch brings a part of it"
    assert seconds < parts * 0.01 * 3
