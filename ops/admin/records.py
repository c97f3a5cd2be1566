"""Reading topics without a consumer group: every partition, from the end, the beginning or an offset; nothing is committed. And
a producer that writes as the contract wants it.

What a person or a test needs to look on: it moves no partition of the fleet and leaves no trace on the broker.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas import limits
from streams.kafka.cluster import cluster_of
from streams.kafka.list_offsets import end_offsets
from streams.kafka.pacing import pace_empty_fetches
from streams.kafka.provision import ProvisionError, unreachable
from topics.access import missing_acl
from topics.partitioner import contract_partitioner

_POLL_MS: Final = 200


class TopicMissingError(ProvisionError):
    """A topic is not on the broker, or this user may not see it."""


@asynccontextmanager
async def unreachable_in_one_line(client_options: Mapping[str, Any]) -> AsyncIterator[None]:
    """Turn what a client raises when it cannot start into `BrokerUnreachableError`."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise await unreachable(client_options) from error


@asynccontextmanager
async def open_reader(client_options: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of no group and, so far, of no partitions. Records of any size the contract allows pass.

    Raises BrokerUnreachableError.
    """
    consumer = AIOKafkaConsumer(
        **{
            **client_options,
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",  # a topic made anew meanwhile is read from its beginning
            "max_partition_fetch_bytes": limits.ANSWER_RECORD_BYTES,
            **options,
        }
    )
    try:
        async with unreachable_in_one_line(client_options):
            await consumer.start()
        pace_empty_fetches(consumer)
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def open_writer(client_options: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer that writes as the contract wants it: its partitions, acks of all replicas, records of any size allowed.

    Raises BrokerUnreachableError.
    """
    producer = AIOKafkaProducer(
        **{
            **client_options,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": limits.ANSWER_RECORD_BYTES,
            "partitioner": contract_partitioner,
            **options,
        }
    )
    try:
        async with unreachable_in_one_line(client_options):
            await producer.start()
        yield producer
    finally:
        await producer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of topics that exist. They are looked up and never asked for by name, which might create them.

    Raises TopicMissingError.
    """
    topics = list(topics)
    # `consumer.partitions_for_topic` knows only topics that the consumer was given already.
    cluster = cluster_of(consumer)
    known = await cluster.all_partitions()
    missing = [topic for topic in topics if topic not in known]
    allowed = await cluster.allowed(missing) if missing else {}
    denied = [topic for topic in missing if allowed.get(topic) == frozenset()]
    if denied:
        raise TopicMissingError("; ".join(missing_acl("Describe", topic) for topic in denied))
    if missing:
        raise TopicMissingError(
            f"not on the broker: {', '.join(missing)}; `headrace topics apply` makes the contract's topics"
        )
    return [partition for topic in topics for partition in known[topic]]


async def read_until(
    consumer: AIOKafkaConsumer, begin: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> AsyncIterator[Any]:
    """The records from `begin` up to, and without, `end`, partition by partition as they come. Then it stops.

    Offsets that hold no record for us, such as transaction markers, are passed over.
    """
    left = {partition for partition, offset in begin.items() if offset < end[partition]}
    if not left:
        return
    consumer.assign(list(left))
    for partition in left:
        consumer.seek(partition, begin[partition])
    while left:
        batches = await consumer.getmany(*left, timeout_ms=_POLL_MS)
        for partition, records in batches.items():
            for record in records:
                if record.offset < end[partition]:
                    yield record
        left -= {partition for partition in left if await consumer.position(partition) >= end[partition]}


async def from_the_end(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    """Assign the partitions, positioned behind the last record that is there now, not when the first fetch comes."""
    consumer.assign(partitions)
    for partition, offset in (await end_offsets(consumer, partitions)).items():
        consumer.seek(partition, offset)
