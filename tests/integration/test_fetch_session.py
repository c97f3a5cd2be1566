"""Fetch sessions with a real broker: what travels, and that nothing is lost or comes twice, whatever becomes of a session."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from ops.brokers import Broker
from streams.kafka.fetch import Fetch
from streams.kafka.fetch_session import SessionRequest
from tests.integration.probe.clients import new_topic, producer

PARTITIONS = 12
LIMIT_S = 20.0
NOT_FOUND, WRONG_EPOCH = 70, 71

Values = Sequence[tuple[int, bytes]]
"""Offsets and values."""


@dataclass
class Exchange:
    """One fetch as it travelled, and what came back. Partitions are those of the test's only topic."""

    wanted: set[int]
    """By the fetcher."""
    session_id: int = 0
    epoch: int = 0
    named: dict[int, int] = field(default_factory=dict)
    """In the request: the offset, by partition."""
    forgotten: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    """Partitions that the answer names."""
    error_code: int | None = None
    """None: no answer yet."""


class AnothersFetch(FetchRequest):  # type: ignore[misc]
    """A fetch of nothing in a session that somebody else began."""

    def __init__(self, session_id: int, epoch: int) -> None:
        super().__init__(0, 0, 1 << 20, 0, [])
        self._session = session_id, epoch

    def build(self, request_struct_class: Any) -> Any:
        built = super().build(request_struct_class)
        built.session_id, built.session_epoch = self._session
        return built


class Reading:
    """A consumer's fetched records, taken as they come, and the fetches that brought them."""

    def __init__(self, consumer: Any, topic: str) -> None:
        self.consumer, self.topic = consumer, topic
        self.exchanges: list[Exchange] = []
        self.taken: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        self.left: set[int] = set()
        """Partitions from which nothing is taken."""
        self._send = consumer._client.send
        consumer._client.send = self._watched
        self.fetch = Fetch(consumer)

    def at(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    async def _watched(self, node_id: int, request: Any, **options: Any) -> Any:
        if not isinstance(request, SessionRequest):
            return await self._send(node_id, request, **options)
        exchange = Exchange({number for _, number in request._wanted})
        fetch: Any = request
        build = fetch.build

        def noted(struct: Any) -> Any:
            built = build(struct)
            exchange.session_id, exchange.epoch = built.session_id, built.session_epoch
            exchange.named = {found[0]: found[2] for _, partitions in built.topics for found in partitions}
            exchange.forgotten = {number for _, numbers in built.forgotten_topics_data for number in numbers}
            self.exchanges.append(exchange)
            return built

        fetch.build = noted
        response = await self._send(node_id, request, **options)
        exchange.answered = {found[0] for _, partitions in response.topics for found in partitions}
        exchange.error_code = response.error_code
        return response

    async def fetch_as_another(self, session_id: int, epoch: int) -> Any:
        """What the broker answers to a fetch of nothing in that session."""
        node_id = self.consumer._client.cluster.leader_for_partition(self.at(0))
        # By a connection of its own: on the consumer's it would wait behind the fetch that the broker holds.
        return await self._send(node_id, AnothersFetch(session_id, epoch), group=ConnectionGroup.COORDINATION)

    def errors(self) -> list[int]:
        return [exchange.error_code for exchange in self.exchanges if exchange.error_code]

    async def until(self, done: Callable[[], bool]) -> None:
        """Take what comes until that is so."""
        ends_at = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < ends_at, f"{ {p: len(found) for p, found in self.taken.items()} } came"
            for partition in self.fetch.ready():
                if partition.partition not in self.left:
                    records, _ = self.fetch.take(partition, 100)
                    self.taken[partition.partition] += [(record.offset, record.value or b"") for record in records]
            if not done():
                await self.fetch.wait(0.1)

    async def until_taken(self, count: int) -> None:
        """Until there are so many records of all partitions."""
        await self.until(lambda: sum(map(len, self.taken.values())) >= count)

    async def until_taken_from(self, partition: int, count: int) -> None:
        await self.until(lambda: len(self.taken[partition]) >= count)

    async def until_refused(self, count: int) -> None:
        """Until the broker has answered so many fetches with an error."""
        await self.until(lambda: len(self.errors()) >= count)

    async def until_in_session(self) -> None:
        """Until a fetch is under way that goes on with what one before it began and has nothing to name."""
        await self.until(
            lambda: any(
                exchange.epoch > 0 and not exchange.named and exchange.error_code is None
                for exchange in self.exchanges[-1:]
            )
        )


@asynccontextmanager
async def reading(broker: Broker, partitions: int = PARTITIONS, **options: Any) -> AsyncIterator[Reading]:
    topic = await new_topic(broker.bootstrap_servers, partitions)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        **{"fetch_max_wait_ms": 200, **options},
    )
    await consumer.start()
    try:
        found = Reading(consumer, topic)
        consumer.assign([found.at(partition) for partition in range(partitions)])
        yield found
    finally:
        await consumer.stop()
    for exchange in found.exchanges:
        assert exchange.answered <= exchange.wanted, "the broker reads what nobody wants"


def numbered(count: int) -> Values:
    return [(number, b"%d" % number) for number in range(count)]


async def send(client: Any, topic: str, partition: int, numbers: Sequence[int]) -> None:
    for sent in [await client.send(topic, b"%d" % number, partition=partition) for number in numbers]:
        await sent


async def test_once_begun_only_what_moved_travels(kafka: Broker) -> None:
    async with reading(kafka) as found, producer(kafka.bootstrap_servers) as client:
        await found.until_in_session()
        begun = len(found.exchanges)
        for number in range(3 * PARTITIONS):
            await send(client, found.topic, number % PARTITIONS, [number // PARTITIONS])
            await found.until_taken(number + 1)
    whole = [exchange for exchange in found.exchanges if exchange.epoch == 0]
    assert [set(exchange.named) for exchange in whole] == [set(range(PARTITIONS))]
    later = found.exchanges[begun:]
    assert len(later) >= PARTITIONS
    assert max(len(exchange.named) for exchange in later) == 1
    assert max(len(exchange.answered) for exchange in later) == 1
    assert [exchange.epoch for exchange in later] == list(range(later[0].epoch, later[0].epoch + len(later)))
    assert dict(found.taken) == {partition: numbered(3) for partition in range(PARTITIONS)}


async def end_session(found: Reading) -> None:
    """A whole fetch ends the session that it names."""
    response = await found.fetch_as_another(found.exchanges[-1].session_id, 0)
    assert response.error_code == 0


async def use_its_epoch(found: Reading) -> None:
    """The fetch that comes next is made by somebody else; the consumer's own then has an epoch that was."""
    for _ in range(100):
        last = found.exchanges[-1]
        response = await found.fetch_as_another(last.session_id, last.epoch + 1)
        if response.error_code == 0:
            return
        assert response.error_code == WRONG_EPOCH  # the consumer was faster
    raise AssertionError("the consumer was faster each time")


@pytest.mark.parametrize(
    ("disturb", "error_code"), [(end_session, NOT_FOUND), (use_its_epoch, WRONG_EPOCH)], ids=["ended", "wrong epoch"]
)
async def test_when_the_broker_ends_a_session_every_record_comes_once_and_in_order(
    kafka: Broker, disturb: Callable[[Reading], Awaitable[None]], error_code: int
) -> None:
    rounds = 5
    async with reading(kafka) as found, producer(kafka.bootstrap_servers) as client:
        for number in range(rounds):
            await found.until_in_session()
            for partition in range(0, PARTITIONS, 2):
                await send(client, found.topic, partition, [2 * number])
            await disturb(found)
            for partition in range(0, PARTITIONS, 2):
                await send(client, found.topic, partition, [2 * number + 1])
            await found.until_refused(number + 1)
        await found.until_taken(rounds * PARTITIONS)
        await found.until_in_session()
    assert found.errors() == [error_code] * rounds
    assert sum(exchange.epoch == 0 for exchange in found.exchanges) == 1 + rounds
    assert dict(found.taken) == {partition: numbered(2 * rounds) for partition in range(0, PARTITIONS, 2)}


async def test_a_partition_that_is_sought_back_is_delivered_again_from_there(kafka: Broker) -> None:
    async with reading(kafka) as found, producer(kafka.bootstrap_servers) as client:
        for partition in (3, 4):
            await send(client, found.topic, partition, range(6))
        await found.until_taken(12)
        await found.until_in_session()
        found.fetch.seek(found.at(3), 2)
        await found.until_taken(16)
        await send(client, found.topic, 3, [6])
        await found.until_taken(17)
    assert list(found.taken[3]) == [*numbered(6), *numbered(7)[2:]]
    assert list(found.taken[4]) == numbered(6)
    assert sum(exchange.epoch == 0 for exchange in found.exchanges) == 1
    assert any(exchange.named == {3: 2} for exchange in found.exchanges)


async def test_what_was_aborted_does_not_come_and_the_rest_does(kafka: Broker, unique: Callable[[str], str]) -> None:
    committed: dict[int, list[bytes]] = defaultdict(list)
    async with (
        reading(kafka, isolation_level="read_committed") as found,
        producer(kafka.bootstrap_servers, transactional_id=unique("agents")) as client,
    ):
        await found.until_in_session()
        for number in range(12):
            await client.begin_transaction()
            for partition in (number % 3, 11):
                await send(client, found.topic, partition, [number, 100 + number])
                if number % 2 == 0:
                    committed[partition] += [b"%d" % number, b"%d" % (100 + number)]
            await (client.commit_transaction() if number % 2 == 0 else client.abort_transaction())
            if number % 4 == 3:  # in one fetch and in several
                await found.until_taken(sum(map(len, committed.values())))
        await found.until_in_session()
    assert {partition: [value for _, value in records] for partition, records in found.taken.items()} == committed
    assert sum(exchange.epoch == 0 for exchange in found.exchanges) == 1


async def test_what_is_left_is_not_sent_again_until_it_is_taken(kafka: Broker) -> None:
    async with (
        reading(kafka, max_partition_fetch_bytes=200) as found,  # a few records at a time, and always some behind them
        producer(kafka.bootstrap_servers) as client,
    ):
        await found.until_in_session()
        for number in range(20):  # one by one, in batches of their own: a fetch brings whole ones
            await send(client, found.topic, 0, [number])
        await found.until_taken(1)
        found.left.add(0)
        await found.until(lambda: 0 not in found.exchanges[-1].wanted)
        begun = 1 + max(number for number, exchange in enumerate(found.exchanges) if 0 in exchange.wanted)
        taken = len(found.taken[0])
        assert taken < 20
        for number in range(10):
            await send(client, found.topic, 1 + number, [number])
            await send(client, found.topic, 0, [20 + number])
            await found.until_taken_from(1 + number, 1)
        without = found.exchanges[begun:]
        assert len(without) >= 10
        assert [exchange.forgotten for exchange in without] == [{0}] + [set()] * (len(without) - 1)
        assert not any(0 in exchange.wanted | exchange.answered for exchange in without)
        assert len(found.taken[0]) == taken
        found.left.clear()
        await found.until_taken_from(0, 30)
    assert list(found.taken[0]) == numbered(30)
    assert sum(exchange.epoch == 0 for exchange in found.exchanges) == 1
    assert [len(found.taken[partition]) for partition in range(1, 11)] == [1] * 10


async def test_another_assignment_is_read_from_its_beginning_in_another_session(kafka: Broker) -> None:
    async with (
        reading(kafka, fetch_max_wait_ms=1000) as found,  # so that it is surely cancelled while the broker holds it
        producer(kafka.bootstrap_servers) as client,
    ):
        for partition in range(PARTITIONS):
            await send(client, found.topic, partition, range(3))
        await found.until_taken(3 * PARTITIONS)
        await found.until_in_session()
        found.taken.clear()
        found.consumer.unsubscribe()
        found.consumer.assign([found.at(partition) for partition in range(6)])
        await found.until_taken(18)
        await send(client, found.topic, 5, [3])
        await found.until_taken(19)
    assert dict(found.taken) == {partition: numbered(3 if partition < 5 else 4) for partition in range(6)}
    assert [set(exchange.named) for exchange in found.exchanges if exchange.epoch == 0] == [
        set(range(PARTITIONS)),
        set(range(6)),
    ]
    assert found.errors() == [], "a session whose fetch was given up is not gone on with"
