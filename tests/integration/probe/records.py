"""What the broker must do with records: keep them whole, hold fetches, hide what was aborted."""

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

from aiokafka import TopicPartition

from tests.integration.probe.clients import (
    new_topic,
    producer,
    read,
    reader,
)
from tests.support.stopwatch import Stopwatch

TWO_MEGABYTES = 2 * 1024 * 1024


async def several_partitions_keep_their_records(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, 12)
    async with producer(bootstrap) as client:
        for i in range(120):
            await client.send(topic, b"%d" % i, partition=i % 12)
        await client.flush()
    async with reader(bootstrap, topic) as consumer:
        records = await read(consumer, 120)
    assert sorted(int(r.value) for r in records) == list(range(120))
    assert all(int(r.value) % 12 == r.partition for r in records)


async def headers_come_back(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    headers = [("ce_id", b"1"), ("empty", b""), ("traceparent", b"\x00\xff")]
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, b"value", key=b"key", headers=headers)
    async with reader(bootstrap, topic) as consumer:
        (record,) = await read(consumer, 1)
    assert list(record.headers) == headers
    assert record.key == b"key"


async def a_tombstone_comes_back(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, None, key=b"key")
    async with reader(bootstrap, topic) as consumer:
        (record,) = await read(consumer, 1)
    assert record.value is None


async def two_megabytes_pass(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, max_message_bytes=str(TWO_MEGABYTES + 65536))
    async with producer(bootstrap, max_request_size=TWO_MEGABYTES + 65536) as client:
        await client.send_and_wait(topic, b"x" * TWO_MEGABYTES)
    async with reader(bootstrap, topic, max_partition_fetch_bytes=262_144) as consumer:
        (record,) = await read(consumer, 1)
    assert len(record.value) == TWO_MEGABYTES


async def a_fetch_waits_for_a_record(bootstrap: str) -> None:
    """The broker holds a fetch of an empty partition: neither a busy loop of fetches nor a late answer."""
    topic = await new_topic(bootstrap)
    async with reader(bootstrap, topic, fetch_max_wait_ms=10_000) as consumer:
        fetches = 0
        client_send = consumer._client.send

        def counted(node: int, request: Any, **options: Any) -> Awaitable[Any]:
            nonlocal fetches
            fetches += "Fetch" in type(request).__name__
            return client_send(node, request, **options)  # type: ignore[no-any-return]

        consumer._client.send = counted
        await consumer.getmany(timeout_ms=2000)
        assert 0 < fetches <= 3, f"{fetches} fetches in 2 s"
        async with producer(bootstrap) as client:
            waiting = asyncio.ensure_future(read(consumer, 1))
            await asyncio.sleep(0.3)
            watch = Stopwatch()
            await client.send_and_wait(topic, b"value")
            await waiting
        took_s = watch.running_s
        assert took_s < 5.0, f"the record came after {took_s:.2f} s"


async def aborted_records_are_not_read(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    async with producer(bootstrap, transactional_id=f"probe-{uuid.uuid4().hex[:8]}") as client:
        for i in range(4):
            await client.begin_transaction()
            await client.send_and_wait(topic, b"%d" % i)
            await (client.abort_transaction() if i % 2 else client.commit_transaction())
    async with reader(bootstrap, topic, isolation_level="read_committed") as consumer:
        records = await read(consumer, 2)
        records += [r for batch in (await consumer.getmany(timeout_ms=1000)).values() for r in batch]
    assert [r.value for r in records] == [b"0", b"2"]


async def an_open_transaction_holds_back_what_follows(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    async with producer(bootstrap, transactional_id=f"probe-{uuid.uuid4().hex[:8]}") as client:
        await client.begin_transaction()
        await client.send_and_wait(topic, b"value")
        async with reader(bootstrap, topic, isolation_level="read_committed") as consumer:
            early = await consumer.getmany(timeout_ms=1000)
            assert not early, "a record of an open transaction was read"
            await client.commit_transaction()
            await read(consumer, 1)


async def offsets_can_be_looked_up_by_time(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    partition = TopicPartition(topic, 0)
    async with producer(bootstrap) as client:
        for at_ms in (1_000, 2_000, 3_000):
            await client.send_and_wait(topic, b"value", timestamp_ms=at_ms)
    async with reader(bootstrap, topic) as consumer:
        found = await consumer.offsets_for_times({partition: 1_500})
        ends = await consumer.end_offsets([partition])
    assert found[partition].offset == 1
    assert ends[partition] == 3
