"""One produce request: a batch to each of some partitions that one broker leads.

In place of aiokafka's accumulator and sender, which have lanes, futures and retries of their own below those of our stages: their
tasks and callbacks were a seventh of a worker's CPU at 1,000 requests/s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from topics.broker_errors import BrokerRefusalError

ALL_IN_SYNC: Final = -1
"""Acks: the answer comes when every replica in sync has the batch; 1: when its leader has."""


async def produce(
    client: Any, node_id: int, batches: Mapping[TopicPartition, bytes], timeout_ms: int, acks: int = ALL_IN_SYNC
) -> Mapping[TopicPartition, Exception]:
    """Write the batches; which were not acked, and why. Raises KafkaError where there is no answer: then
    nobody knows.
    """
    topics: dict[str, list[tuple[int, bytes]]] = {}
    for (topic, number), written in batches.items():
        topics.setdefault(topic, []).append((number, written))
    response = await client.send(node_id, ProduceRequest(None, acks, timeout_ms, list(topics.items())))
    errors: dict[TopicPartition, Exception] = {
        partition: KafkaError("the broker does not say what became of it") for partition in batches
    }
    for topic, partitions in response.topics:
        for number, error_code, *_ in partitions:
            partition = TopicPartition(topic, number)
            if error_code:
                errors[partition] = BrokerRefusalError(error_code, f"{topic}:{number}")
            else:
                errors.pop(partition, None)
    return errors
