"""What one worker cached is in every other's table: at once, after a restart, on an empty disk, after the broker was away."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from ops.brokers import Broker
from schemas.response import Usage
from streams.cache.answers import Answer
from streams.cache.disk import DiskTable
from streams.cache.entries import SharedEntryStore
from streams.cache.publisher import EntryPublisher
from streams.cache.reader import EntryReader
from streams.cache.rocks import TableOptions
from streams.kafka.cluster import cluster_of
from tests.support.fixtures import Measured
from tests.unit.cache.requests import pending

OPTIONS = TableOptions(cap_bytes=100_000_000, ttl_s=86_400, block_cache_bytes=2_000_000)
PARTITIONS = 3


class Side:
    """One worker's part of the cache."""

    def __init__(self, table: DiskTable, publisher: EntryPublisher, reader: EntryReader, news: list[bytes]) -> None:
        self.table, self.publisher, self.reader, self.news = table, publisher, reader, news
        self.store = SharedEntryStore(table, publisher, time.time)

    async def sees(self, keys: list[bytes], *, within_s: float = 20.0) -> None:
        """Returns when the table holds all of the keys."""
        async with asyncio.timeout(within_s):
            while len(await self.table.get_many(keys, time.time())) < len(set(keys)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)

    async def sees_none(self, keys: list[bytes]) -> None:
        """Returns when the table holds none of the keys."""
        async with asyncio.timeout(60):
            while await self.table.get_many(keys, time.time()):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)


@pytest.fixture
async def topic(broker: Broker, unique: Callable[[str], str]) -> str:
    name = unique("cache.entries")
    await make_topic(broker, name)
    return name


async def make_topic(broker: Broker, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact,delete"})])
    finally:
        await admin.close()


@asynccontextmanager
async def side(broker: Broker, topic: str, path: Path, name: str, **options: Any) -> AsyncIterator[Side]:
    client: dict[str, Any] = {"bootstrap_servers": broker.bootstrap_servers}
    news: list[bytes] = []
    table = await DiskTable.open(path / name, OPTIONS)
    producer = AIOKafkaProducer(**client, acks="all")
    await producer.start()
    await producer.partitions_for(topic)
    source = f"/headrace/{name}".encode()
    publisher = EntryPublisher(
        cluster_of(producer), source, topic, **{k: v for k, v in options.items() if k == "buffer_bytes"}
    )
    reader = EntryReader(
        client,
        table,
        source=source,
        on_entries=news.extend,
        now=time.time,
        ready_within_s=options.get("ready_within_s", 20.0),
        topic=topic,
        partitions_every_s=options.get("partitions_every_s", 60.0),
    )
    reader.start()
    try:
        await reader.caught_up.wait()
        yield Side(table, publisher, reader, news)
    finally:
        await reader.stop()
        await publisher.stop()
        await producer.stop()
        await table.close()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


def keys_of(numbers: range) -> list[bytes]:
    return [b"key-%012d" % number for number in numbers]


def publish(side: Side, keys: list[bytes], value: bytes = b'{"kind":"answer"}') -> None:
    for key in keys:
        side.publisher.publish(key, value, time.time() + 600)


async def test_an_answer_of_one_worker_is_in_anothers_table_within_a_second(
    broker: Broker, topic: str, tmp_path: Path, measured: Measured
) -> None:
    async with side(broker, topic, tmp_path, "a") as a, side(broker, topic, tmp_path, "b") as b:
        publish(a, keys_of(range(1)))
        await b.sees(keys_of(range(1)))  # connections are made
        delays = []
        for number in range(1, 21):
            began = time.perf_counter()
            publish(a, keys_of(range(number, number + 1)))
            await b.sees(keys_of(range(number, number + 1)))
            delays.append(time.perf_counter() - began)
        measured(
            f"an entry is in another worker's table after {median(delays) * 1000:.0f} ms, {max(delays) * 1000:.0f} at most"
        )
        assert median(delays) <= 1.0


async def test_answers_and_finished_requests_come_back_from_another_workers_store(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    request = pending("r-1")
    answer = Answer(b'{"choices": [1.50]}', Usage(3, 1, 4), "sim", time.time() + 600)
    async with side(broker, topic, tmp_path, "a") as a, side(broker, topic, tmp_path, "b") as b:
        a.store.put_answer(b"answer" * 2, request, answer)
        a.store.put_finished(b"points" * 2, request, answer, b"answer" * 2, answer.expires_at)
        a.store.put_finished(b"carries" * 2, request, answer, None, answer.expires_at)
        await b.sees([b"answer" * 2, b"points" * 2, b"carries" * 2])
        found = await b.store.find([b"answer" * 2, b"points" * 2, b"carries" * 2, b"nothing"], time.time())
    assert found.keys() == {b"answer" * 2, b"points" * 2, b"carries" * 2}
    assert found[b"points" * 2] == b"answer" * 2
    for key in (b"answer" * 2, b"carries" * 2):
        back = found[key]
        assert isinstance(back, Answer)
        assert (back.payload, back.usage, back.provider) == (answer.payload, answer.usage, answer.provider)


async def test_a_worker_with_an_empty_disk_becomes_warm_before_it_is_ready(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    keys = keys_of(range(2_000))
    async with side(broker, topic, tmp_path, "a") as a:
        publish(a, keys)
        await a.sees(keys)
    async with side(broker, topic, tmp_path, "new") as new:
        assert len(await new.table.get_many(keys, time.time())) == len(keys)
        assert new.reader.lag == 0


async def test_a_restarted_worker_reads_only_what_is_new(broker: Broker, topic: str, tmp_path: Path) -> None:
    old, new = keys_of(range(500)), keys_of(range(500, 550))
    async with side(broker, topic, tmp_path, "a") as a, side(broker, topic, tmp_path, "b") as b:
        publish(a, old)
        await b.sees(old)
    async with side(broker, topic, tmp_path, "a") as a:
        publish(a, new)
        await a.sees(new)
    async with side(broker, topic, tmp_path, "b") as b:
        assert len(await b.table.get_many(old + new, time.time())) == 550
        assert b.reader.counts.stored == len(new)


async def test_a_worker_is_told_of_others_entries_and_deletions_not_of_its_own(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    mine, theirs = keys_of(range(5)), keys_of(range(5, 10))
    async with side(broker, topic, tmp_path, "a") as a, side(broker, topic, tmp_path, "b") as b:
        publish(a, mine)
        publish(b, theirs)
        await a.sees(mine + theirs)
        assert sorted(a.news) == theirs
        a.publisher.delete(mine[0])
        await until(lambda: mine[0] in a.news)
        assert (await a.table.get_many(mine, time.time())).keys() == set(mine[1:])


async def test_expired_and_illegible_records_are_passed_over(broker: Broker, topic: str, tmp_path: Path) -> None:
    async with side(broker, topic, tmp_path, "a") as a:
        publish(a, keys_of(range(1)))
        await a.sees(keys_of(range(1)))
        a.publisher.publish(keys_of(range(1))[0], b"{}", time.time() - 1)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        async with producer:
            for headers in (
                [],
                [("expires_at_ms", b"soon")],
                [("expires_at_ms", b"9" * 400)],
                [("expires_at_ms", b"")],
            ):
                await producer.send_and_wait(topic, b"{}", key=b"k", headers=headers)
            await producer.send_and_wait(topic, b"{}", key=b"k" * 65, headers=[("expires_at_ms", b"9999999999999")])
        await until(lambda: (a.reader.counts.unreadable, a.reader.counts.expired) == (5, 1))
        assert await a.table.get_many([b"k", b"k" * 65, *keys_of(range(1))], time.time()) == {}


async def test_new_partitions_are_read_too(broker: Broker, topic: str, tmp_path: Path) -> None:
    async with side(broker, topic, tmp_path, "a", partitions_every_s=0.2) as a:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(PARTITIONS + 3)})
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, metadata_max_age_ms=200)
        async with producer, asyncio.timeout(60):
            while len(await producer.partitions_for(topic)) < PARTITIONS + 3:  # noqa: ASYNC110 - nor here
                await asyncio.sleep(0.1)
            headers = [("expires_at_ms", b"9999999999999")]
            await producer.send_and_wait(topic, b"{}", key=b"k", partition=PARTITIONS + 2, headers=headers)
        await a.sees([b"k"])


async def test_a_worker_does_not_wait_for_ever_for_a_topic_that_is_not_there(broker: Broker, tmp_path: Path) -> None:
    table = await DiskTable.open(tmp_path, OPTIONS)
    reader = EntryReader(
        {"bootstrap_servers": broker.bootstrap_servers},
        table,
        source=b"/headrace/a",
        on_entries=lambda keys: None,
        now=time.time,
        ready_within_s=0.3,
        topic="no.such.topic",
    )
    reader.start()
    async with asyncio.timeout(60):
        await reader.caught_up.wait()
    await reader.stop()
    await table.close()


async def test_a_broker_that_stops_for_a_while_costs_entries_no_more_than_the_buffer(
    private_broker: Callable[[], Broker], tmp_path: Path
) -> None:
    broker = private_broker()
    await make_topic(broker, "cache.entries")
    async with side(broker, "cache.entries", tmp_path, "a", buffer_bytes=10_000) as a:
        publish(a, keys_of(range(1)))
        await a.sees(keys_of(range(1)))
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            publish(a, keys_of(range(1, 3_000)), b"x" * 100)
            assert a.publisher.pending_bytes <= 10_000
            assert a.publisher.counts.dropped > 2_000
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        kept = 3_000 - a.publisher.counts.dropped
        await a.sees(keys_of(range(kept)), within_s=60)
        assert (a.publisher.pending_bytes, a.publisher.counts.failed) == (0, 0)
