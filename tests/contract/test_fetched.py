"""What every `Fetched` keeps to, on a real broker: the one on the client's private side, and the plain one on its public side."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition

from ops.brokers import Broker
from streams.kafka.fetch import Fetch
from streams.kafka.fetched import Fetched
from streams.kafka.plain_fetch import PlainFetch
from tests.integration.probe.clients import new_topic, producer
from tests.support.stopwatch import Stopwatch

Make = Callable[[AIOKafkaConsumer], Fetched]

pytestmark = pytest.mark.parametrize("make", [pytest.param(Fetch, id="sessions"), pytest.param(PlainFetch, id="plain")])

LONG_S = 10.0


@asynccontextmanager
async def fetching(make: Make, bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Fetched]:
    """What a consumer of all partitions fetches, from their beginnings on."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        fetched = make(consumer)
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        yield fetched
    finally:
        await consumer.stop()


async def send(bootstrap: str, topic: str, *values: bytes, partition: int = 0) -> None:
    async with producer(bootstrap) as client:
        for value in values:
            await client.send_and_wait(topic, value, partition=partition)


async def take_until(fetched: Fetched, partition: TopicPartition, count: int, most: int = 1000) -> list[bytes | None]:
    """So many values of a partition, `most` at a time; nothing is taken of the others."""
    values: list[bytes | None] = []
    ends_at = time.monotonic() + LONG_S
    while len(values) < count:
        assert time.monotonic() < ends_at, f"{len(values)} of {count} records"
        if partition not in fetched.ready():
            await fetched.wait(0.5)
            continue
        records, position = fetched.take(partition, most)
        if position is not None:
            assert not records or position > records[-1].offset
        values += [record.value for record in records]
    return values


async def test_records_come_once_and_in_order(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 2)
    sent = [b"%d" % number for number in range(50)]
    await send(broker.bootstrap_servers, topic, *sent)
    async with fetching(make, broker.bootstrap_servers, topic, 2) as fetched:
        partition = TopicPartition(topic, 0)
        assert await take_until(fetched, partition, 30, most=7) == sent[:35]
        assert await take_until(fetched, partition, 15) == sent[35:]
        await send(broker.bootstrap_servers, topic, b"later")
        assert await take_until(fetched, partition, 1) == [b"later"]


async def test_a_part_of_what_was_fetched_has_its_own_position(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    await send(broker.bootstrap_servers, topic, b"0", b"1", b"2")
    partition = TopicPartition(topic, 0)
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        positions: list[tuple[int, int | None]] = []
        while len(positions) < 3:
            if partition not in fetched.ready():
                await fetched.wait(1)
                continue
            records, position = fetched.take(partition, 1)
            if records:
                positions.append((records[0].offset, position))
    assert positions == [(0, 1), (1, 2), (2, 3)]


async def test_a_partition_that_is_left_holds_back_no_other(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 2)
    left, taken = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await send(broker.bootstrap_servers, topic, b"left")
    async with fetching(make, broker.bootstrap_servers, topic, 2) as fetched:
        while left not in fetched.ready():
            await fetched.wait(1)
        for number in range(5):
            await send(broker.bootstrap_servers, topic, b"%d" % number, partition=1)
            assert await take_until(fetched, taken, 1) == [b"%d" % number]
        assert await take_until(fetched, left, 1) == [b"left"]
        await send(broker.bootstrap_servers, topic, b"more")
        assert await take_until(fetched, left, 1) == [b"more"]


async def test_wait_ends_at_its_time_and_when_it_is_woken(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        watch = Stopwatch()
        await fetched.wait(0.3)
        assert watch.passed_s > 0.25
        assert watch.running_s < LONG_S / 2
        asyncio.get_running_loop().call_later(0.2, fetched.wake)
        watch = Stopwatch()
        await fetched.wait(LONG_S)
        assert watch.running_s < LONG_S / 2


async def test_a_seek_drops_what_was_fetched(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    partition = TopicPartition(topic, 0)
    await send(broker.bootstrap_servers, topic, b"0", b"1", b"2", b"3")
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        assert await take_until(fetched, partition, 1, most=1) == [b"0"]
        fetched.seek(partition, 3)
        assert await take_until(fetched, partition, 1) == [b"3"]
        fetched.seek_to_start(partition)
        assert await take_until(fetched, partition, 4) == [b"0", b"1", b"2", b"3"]


async def test_what_is_to_be_fetched_again_comes_again(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    partition = TopicPartition(topic, 0)
    await send(broker.bootstrap_servers, topic, b"0", b"1")
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        assert await take_until(fetched, partition, 1, most=1) == [b"0"]
        fetched.fetch_again(partition)
        assert await take_until(fetched, partition, 1) == [b"1"]


async def test_what_a_transaction_aborted_is_not_there(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    partition = TopicPartition(topic, 0)
    async with producer(broker.bootstrap_servers, transactional_id=f"tx-{uuid.uuid4().hex}") as client:
        for number in range(6):
            await client.begin_transaction()
            await client.send_and_wait(topic, b"%d" % number, partition=0)
            await (client.abort_transaction() if number % 2 else client.commit_transaction())
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        assert await take_until(fetched, partition, 3) == [b"0", b"2", b"4"]


async def test_nothing_is_ready_of_what_is_no_longer_assigned(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 2)
    await send(broker.bootstrap_servers, topic, b"0")
    await send(broker.bootstrap_servers, topic, b"1", partition=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        fetched = make(consumer)
        consumer.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
        while len(fetched.ready()) < 2:
            await fetched.wait(0.2)
        consumer.assign([TopicPartition(topic, 1)])
        assert await take_until(fetched, TopicPartition(topic, 1), 1) == [b"1"]
        stale = [fetched.take(each, 10) for each in fetched.ready()]
        assert all(position is None for _, position in stale)
    finally:
        await consumer.stop()


async def test_after_the_consumers_end_it_says_so(make: Make, broker: Broker) -> None:
    topic = await new_topic(broker.bootstrap_servers, 1)
    async with fetching(make, broker.bootstrap_servers, topic, 1) as fetched:
        await fetched.wait(0.2)

    async def go_on() -> None:
        fetched.ready()
        await fetched.wait(LONG_S)

    with pytest.raises(ConsumerStoppedError):
        await go_on()
