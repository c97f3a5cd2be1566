"""What the pipeline needs of a Kafka broker, one small check a need, each against the real thing with aiokafka.

`CHECKS` maps a name to an async check that takes the bootstrap servers and raises AssertionError, or whatever the
broker made aiokafka raise, where the need is not met. `python tests/integration/broker_probe.py HOST:PORT` prints
the table of docs/brokers.md.
"""

import asyncio
import struct
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalGenerationError, MessageSizeTooLargeError, OffsetMetadataTooLargeError

CHECK_DEADLINE_S = 40.0
TWO_MEGABYTES = 2 * 1024 * 1024


class NamedAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """An assignor of our own: its protocol name is one that no broker has heard of, with user data of its own."""

    name = "headrace-probe"


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def new_topic(bootstrap: str, partitions: int = 1, **configs: str) -> str:
    """Create a topic with its own name and wait until its partitions have leaders."""
    name = f"probe-{uuid.uuid4().hex[:12]}"
    configs_on_wire = {key.replace("_", "."): value for key, value in configs.items()}
    async with admin(bootstrap) as client:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs_on_wire)])
        ends_at = time.monotonic() + 10
        while time.monotonic() < ends_at:
            (description,) = await client.describe_topics([name])
            found = description.get("partitions", [])
            if len(found) == partitions and all(p["leader"] >= 0 for p in found):
                return name
            await asyncio.sleep(0.05)
    raise AssertionError(f"{name} did not get its {partitions} partitions")


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[Any]:
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=10_000, **options)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def group_consumer(bootstrap: str, group: str, *topics: str, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": 6000,
        "heartbeat_interval_ms": 500,
        "rebalance_timeout_ms": 6000,
        "fetch_max_wait_ms": 200,
        "isolation_level": "read_committed",
        "partition_assignment_strategy": (NamedAssignor,),
    }
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, group_id=group, **{**settings, **options})


async def read(consumer: Any, count: int, limit_s: float = 15.0) -> list[Any]:
    """Records of one consumer until there are `count`; fails when they do not come."""
    records: list[Any] = []
    ends_at = time.monotonic() + limit_s
    while len(records) < count:
        assert time.monotonic() < ends_at, f"{len(records)} of {count} records came"
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            records.extend(batch)
    return records


@asynccontextmanager
async def reader(bootstrap: str, topic: str, **options: Any) -> AsyncIterator[Any]:
    """A consumer without a group, from the beginning of the topic."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, **options
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


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


async def log_append_time_is_the_brokers(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, message_timestamp_type="LogAppendTime")
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, b"value", timestamp_ms=1000)
    async with reader(bootstrap, topic) as consumer:
        (record,) = await read(consumer, 1)
    assert abs(record.timestamp / 1000 - time.time()) < 60, f"timestamp {record.timestamp}"
    assert record.timestamp_type == 1


async def two_megabytes_pass(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, max_message_bytes=str(TWO_MEGABYTES + 65536))
    async with producer(bootstrap, max_request_size=TWO_MEGABYTES + 65536) as client:
        await client.send_and_wait(topic, b"x" * TWO_MEGABYTES)
    async with reader(bootstrap, topic, max_partition_fetch_bytes=262_144) as consumer:
        (record,) = await read(consumer, 1)
    assert len(record.value) == TWO_MEGABYTES


async def a_message_over_the_topics_limit_is_refused(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, max_message_bytes="100000")
    async with producer(bootstrap, max_request_size=TWO_MEGABYTES) as client:
        with pytest.raises(MessageSizeTooLargeError):
            await client.send_and_wait(topic, b"x" * 200_000)


async def topic_settings_are_told(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, retention_ms="86400000", message_timestamp_type="LogAppendTime")
    found = await topic_settings(bootstrap, topic)
    assert found.get("retention.ms") == "86400000", f"retention.ms is {found.get('retention.ms')}"
    assert found.get("message.timestamp.type") == "LogAppendTime"


async def topic_settings_can_be_altered(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, retention_ms="86400000")
    async with admin(bootstrap) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "3600000"})])
    found = await topic_settings(bootstrap, topic)
    assert found.get("retention.ms") == "3600000", f"retention.ms is {found.get('retention.ms')}"


async def topic_settings(bootstrap: str, topic: str) -> dict[str, str]:
    async with admin(bootstrap) as client:
        responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found: dict[str, str] = {}
    for response in responses:
        for error_code, message, _type, _name, entries, *_ in response.resources:
            assert error_code == 0, message
            found.update({entry[0]: entry[1] for entry in entries})
    return found


async def partitions_can_be_added(bootstrap: str) -> None:
    from aiokafka.admin import NewPartitions

    topic = await new_topic(bootstrap, 2)
    async with admin(bootstrap) as client:
        await client.create_partitions({topic: NewPartitions(4)})
        ends_at = time.monotonic() + 10
        while True:
            (description,) = await client.describe_topics([topic])
            if len(description["partitions"]) == 4:
                return
            assert time.monotonic() < ends_at, "still 2 partitions"
            await asyncio.sleep(0.1)


async def a_topic_can_be_deleted_and_made_again(bootstrap: str) -> None:
    topic = await new_topic(bootstrap)
    async with producer(bootstrap) as client:
        await client.send_and_wait(topic, b"old")
    async with admin(bootstrap) as client:
        await client.delete_topics([topic])
        ends_at = time.monotonic() + 10
        while topic in await client.list_topics():
            assert time.monotonic() < ends_at, "the topic is still there"
            await asyncio.sleep(0.1)
        await client.create_topics([NewTopic(topic, 1, 1)])
    await asyncio.sleep(0.5)
    async with producer(bootstrap) as client:
        record = await client.send_and_wait(topic, b"new")
    assert record.offset == 0, f"offset {record.offset}"


async def an_unknown_topic_is_not_created_by_a_metadata_request(bootstrap: str) -> None:
    name = f"never-{uuid.uuid4().hex[:8]}"
    async with producer(bootstrap) as client:
        task = asyncio.ensure_future(client.send(name, b"value"))
        await asyncio.sleep(1.0)
        task.cancel()
    async with admin(bootstrap) as client:
        assert name not in await client.list_topics()


async def a_fetch_waits_for_a_record(bootstrap: str) -> None:
    """The broker holds a fetch of an empty partition: neither a busy loop of fetches nor a late answer."""
    topic = await new_topic(bootstrap)
    async with reader(bootstrap, topic, fetch_max_wait_ms=3000) as consumer:
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
            sent_at = time.monotonic()
            await client.send_and_wait(topic, b"value")
            await waiting
        took_s = time.monotonic() - sent_at
        assert took_s < 1.0, f"the record came after {took_s:.2f} s"


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


async def commit_metadata_comes_back(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    metadata = "m" * 4000
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        await consumer.commit({first: OffsetAndMetadata(7, metadata), second: OffsetAndMetadata(3, "")})
        found = await consumer._coordinator.fetch_committed_offsets([first, second])
    finally:
        await consumer.stop()
    assert (found[first].offset, found[first].metadata) == (7, metadata)
    assert (found[second].offset, found[second].metadata) == (3, "")
    again = group_consumer(bootstrap, group, topic)
    await again.start()
    try:
        found = await again._coordinator.fetch_committed_offsets([first, second])
    finally:
        await again.stop()
    assert found[first].metadata == metadata


async def metadata_over_4096_bytes_is_refused(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        with pytest.raises(OffsetMetadataTooLargeError):
            await consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(7, "m" * 5000)})
    finally:
        await consumer.stop()


async def a_commit_of_a_member_that_was_replaced_is_refused(bootstrap: str) -> None:
    """The fence of at-least-once: whoever is not of the current generation may not move the group's offsets."""
    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    old = group_consumer(bootstrap, group, topic)
    await old.start()
    new = group_consumer(bootstrap, group, topic)
    try:
        await read_until_assigned(old, 2)
        coordinator = old._coordinator
        stale = coordinator.generation
        starting = asyncio.ensure_future(new.start())
        await read_until_assigned(old, 1)
        await starting
        current = coordinator.generation, coordinator.member_id
        coordinator.generation = stale
        try:
            with pytest.raises(IllegalGenerationError):
                await coordinator._do_commit_offsets(
                    old._subscription.subscription.assignment, {TopicPartition(topic, 0): OffsetAndMetadata(5, "")}
                )
        finally:  # else aiokafka joins as a new member, and the group waits for the old one's session to end
            coordinator.generation, coordinator.member_id = current
    finally:
        await new.stop()
        await old.stop()


async def read_until_assigned(consumer: Any, partitions: int, limit_s: float = 20.0) -> None:
    ends_at = time.monotonic() + limit_s
    while len(consumer.assignment()) != partitions:
        assert time.monotonic() < ends_at, (
            f"{len(consumer.assignment())} partitions after {limit_s} s, not {partitions}"
        )
        await asyncio.sleep(0.05)


async def a_second_member_shares_the_partitions(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap, 4), f"group-{uuid.uuid4().hex[:8]}"
    one, two = group_consumer(bootstrap, group, topic), group_consumer(bootstrap, group, topic)
    await one.start()
    try:
        await read_until_assigned(one, 4)
        starting = asyncio.ensure_future(two.start())
        await read_until_assigned(one, 2)
        await asyncio.wait_for(starting, 20)
        await read_until_assigned(two, 2)
        assert not one.assignment() & two.assignment()
        await two.stop()
        await read_until_assigned(one, 4)
    finally:
        await one.stop()


async def partitions_of_a_dead_member_move_after_its_session(bootstrap: str) -> None:
    """A member that vanishes without a word (its process killed) loses its partitions when its session times out."""
    topic, group = await new_topic(bootstrap, 4), f"group-{uuid.uuid4().hex[:8]}"
    one = group_consumer(bootstrap, group, topic)
    await one.start()
    dying = await asyncio.create_subprocess_exec(sys.executable, __file__, "--member", bootstrap, group, topic)
    try:
        await read_until_assigned(one, 2)
        dying.kill()
        await dying.wait()
        await read_until_assigned(one, 4, limit_s=10.0)
    finally:
        await one.stop()


async def users_data_of_an_assignor_reaches_the_leader(bootstrap: str) -> None:
    """Our assignor tells in its metadata what a member holds: the broker must hand it on untouched."""
    from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

    heard: set[bytes] = set()

    class TellingAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
        name = "headrace-telling"

        @classmethod
        def metadata(cls, topics: Any) -> Any:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), struct.pack(">q", 42))

        @classmethod
        def assign(cls, cluster: Any, members: Mapping[str, Any]) -> Any:
            heard.update(member.user_data for member in members.values())
            return super().assign(cluster, members)

    topic, group = await new_topic(bootstrap, 2), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic, partition_assignment_strategy=(TellingAssignor,))
    await consumer.start()
    await consumer.stop()
    assert heard == {struct.pack(">q", 42)}


async def a_compacted_topic_is_taken(bootstrap: str) -> None:
    topic = await new_topic(bootstrap, 6, cleanup_policy="compact,delete", retention_ms="86400000")
    found = await topic_settings(bootstrap, topic)
    assert set(found.get("cleanup.policy", "").split(",")) == {"compact", "delete"}


async def group_lag_can_be_asked(bootstrap: str) -> None:
    topic, group = await new_topic(bootstrap), f"group-{uuid.uuid4().hex[:8]}"
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    try:
        await consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(4, "why")})
        async with admin(bootstrap) as client:
            found = await client.list_consumer_group_offsets(group)
            groups = [name for name, *_ in await client.list_consumer_groups()]
    finally:
        await consumer.stop()
    assert found[TopicPartition(topic, 0)].offset == 4
    assert group in groups


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


Check = Callable[[str], Awaitable[None]]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        several_partitions_keep_their_records,
        headers_come_back,
        a_tombstone_comes_back,
        log_append_time_is_the_brokers,
        two_megabytes_pass,
        a_message_over_the_topics_limit_is_refused,
        topic_settings_are_told,
        topic_settings_can_be_altered,
        partitions_can_be_added,
        a_topic_can_be_deleted_and_made_again,
        an_unknown_topic_is_not_created_by_a_metadata_request,
        a_fetch_waits_for_a_record,
        aborted_records_are_not_read,
        an_open_transaction_holds_back_what_follows,
        commit_metadata_comes_back,
        metadata_over_4096_bytes_is_refused,
        a_commit_of_a_member_that_was_replaced_is_refused,
        a_second_member_shares_the_partitions,
        partitions_of_a_dead_member_move_after_its_session,
        users_data_of_an_assignor_reaches_the_leader,
        a_compacted_topic_is_taken,
        group_lag_can_be_asked,
        offsets_can_be_looked_up_by_time,
    )
}


async def be_a_member(bootstrap: str, group: str, topic: str) -> None:
    consumer = group_consumer(bootstrap, group, topic)
    await consumer.start()
    await asyncio.Event().wait()


async def probe(bootstrap: str) -> None:
    for name, check in CHECKS.items():
        began = time.monotonic()
        try:
            await asyncio.wait_for(check(bootstrap), CHECK_DEADLINE_S)
            outcome = "yes"
        except (Exception, pytest.fail.Exception) as error:
            outcome = f"no: {type(error).__name__} {error}"
        print(f"| {name.replace('_', ' ')} | {outcome} | {time.monotonic() - began:.1f} s |", flush=True)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "--member":
        asyncio.run(be_a_member(*sys.argv[2:5]))
    else:
        asyncio.run(probe(sys.argv[1]))
