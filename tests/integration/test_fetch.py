"""When fetched records come: at once, whatever else the consumer does not take."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.structs import TopicPartition

from ops.brokers import Broker
from streams.transport.fetch import Fetch
from tests.integration.probe.clients import new_topic, producer, reader

LONG_WAIT_MS = 3000
"""How long the broker holds a fetch: what waits for the end of one is seen to wait."""
SOON_S = 1.0


@asynccontextmanager
async def fetching(bootstrap: str, topic: str) -> AsyncIterator[Fetch]:
    async with reader(bootstrap, topic, fetch_max_wait_ms=LONG_WAIT_MS) as consumer:
        yield Fetch(consumer)


async def take_from(fetch: Fetch, partition: TopicPartition) -> tuple[bytes, float]:
    """The next value of the partition and the seconds that it took; others are left."""
    began = time.monotonic()
    while partition not in fetch.ready():
        await fetch.wait(10)
    records, _ = fetch.take(partition, 10)
    (record,) = records
    assert record.value is not None
    return record.value, time.monotonic() - began


async def test_records_that_come_one_after_the_other_come_at_once(kafka: Broker) -> None:
    topic = await new_topic(kafka.bootstrap_servers, 2)  # the other one is empty: a fetch of it alone lasts
    async with fetching(kafka.bootstrap_servers, topic) as fetch, producer(kafka.bootstrap_servers) as client:
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
    async with fetching(kafka.bootstrap_servers, topic) as fetch, producer(kafka.bootstrap_servers) as client:
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
        async with reader(kafka.bootstrap_servers, topic, max_partition_fetch_bytes=20_000) as consumer:
            fetch = Fetch(consumer, pause_s)
            began, found = time.monotonic(), list[bytes | None]()
            while len(found) < backlog:
                await fetch.wait(1)
                while partition in fetch.ready():
                    found += [record.value for record in fetch.take(partition, backlog)[0]]
            assert found == [b"%0500d" % number for number in range(backlog)]
            assert time.monotonic() - began < 5

            began = time.monotonic()
            for number in range(3):  # the first one may find the fetcher waiting
                await client.send_and_wait(topic, b"%d" % number, partition=0)
                assert (await take_from(fetch, partition))[0] == b"%d" % number
            assert time.monotonic() - began > pause_s
