"""Reading topics without a consumer group: every partition, from the end, the beginning or an offset; nothing is committed. And
a producer that writes as the contract wants it.

What a person or a test needs to look on: it moves no partition of the fleet and leaves no trace on the broker.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from schemas import limits
from streams.kafka.closing import stop
from streams.kafka.cluster import cluster_of
from streams.kafka.list_offsets import end_offsets
from streams.kafka.pacing import pace_empty_fetches
from streams.kafka.provision import ProvisionError, starting, usable
from streams.kafka.sealed import sealed_consumer, sealed_producer
from topics.access import Operation, missing_acl
from topics.partitioner import contract_partitioner

_POLL_MS: Final = 200


class TopicMissingError(ProvisionError):
    """A topic is not on the broker, or this user may not see it."""


@asynccontextmanager
async def open_reader(client_options: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of no group and, so far, of no partitions. Records of any size the contract allows pass.

    Raises BrokerUnreachableError, WrongClusterError; TopicMissingError where an ACL is missing for what is read.
    """
    consumer = sealed_consumer(
        **{
            **await usable(client_options),
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",  # a topic made anew meanwhile is read from its beginning
            "max_partition_fetch_bytes": limits.ANSWER_RECORD_BYTES,
            **options,
        }
    )
    try:
        async with starting(client_options):
            await consumer.start()
        pace_empty_fetches(consumer)
        with _acl_is_named("Read"):
            yield consumer
    finally:
        # aiokafka's fetcher loses the word to stop if it comes just after an `assign`, and would wait for half a minute.
        await stop(consumer)


@asynccontextmanager
async def open_writer(client_options: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer that writes as the contract wants it: its partitions, acks of all replicas, records of any size allowed.

    Raises BrokerUnreachableError, WrongClusterError; TopicMissingError where an ACL is missing for what is written.
    """
    producer = sealed_producer(
        **{
            **await usable(client_options),
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": limits.ANSWER_RECORD_BYTES,
            "partitioner": contract_partitioner,
            **options,
        }
    )
    try:
        async with starting(client_options):
            await producer.start()
        with _acl_is_named("Write"):
            yield producer
    finally:
        await producer.stop()


@contextmanager
def _acl_is_named(operation: Operation) -> Iterator[None]:
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise TopicMissingError("; ".join(missing_acl(operation, topic) for topic in _topics_of(error))) from error


def _topics_of(error: TopicAuthorizationFailedError) -> list[str]:
    """The client says a topic or several."""
    said = [each for given in error.args for each in ([given] if isinstance(given, str) else given)]
    return sorted(map(str, said)) or ["(the client does not say which)"]


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

    Offsets that hold no record for us, such as transaction markers, are passed over. Raises TopicMissingError where this user may
    not read.
    """
    left = {partition for partition, offset in begin.items() if offset < end[partition]}
    if not left:
        return
    consumer.assign(list(left))
    for partition in left:
        consumer.seek(partition, begin[partition])
    while left:
        try:
            batches = await consumer.getmany(*left, timeout_ms=_POLL_MS)
        except TopicAuthorizationFailedError as error:
            denied = sorted({partition.topic for partition in left})
            raise TopicMissingError("; ".join(missing_acl("Read", topic) for topic in denied)) from error
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
