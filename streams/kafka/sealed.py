"""The doors of control topics: what is written there is signed, what is read there is verified, by whatever client of the fleet.

A client's options may hold a `Seal` under `seal`, as the settings put it there (`Kafka.client_options`); without one nothing is
signed or verified. Four ways lead to a topic, and all pass here: `send` of a producer, `Cluster.signed` where batches are made
by hand, `getmany` and `getone` of a consumer, and `Fetch.take`. A record that does not count is counted and left out; the offset
behind it is told as ever, as of a transaction's marker.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.kafka.records import Record
from streams.kafka.repeats import Repeats
from streams.kafka.tokens import TokenProvider
from streams.metrics import definitions as metrics
from streams.settings.tokens import TokenSource
from streams.signing import Seal
from streams.signing.signature import Headers

log = structlog.get_logger("headrace.signing")

SEAL: Final = "seal"
CLUSTER_ID: Final = "cluster_id"
"""Looked at before a client is made (streams/kafka/provision.py), not by the client."""
_TOKENS: Final = "sasl_oauth_token_provider"


def unsealed(options: Mapping[str, object]) -> dict[str, Any]:
    """The options that aiokafka knows, with a provider of tokens where the settings say where they come from."""
    known = {name: value for name, value in options.items() if name not in (SEAL, CLUSTER_ID, _TOKENS)}
    source = options.get(_TOKENS)
    return {**known, _TOKENS: TokenProvider(source)} if isinstance(source, TokenSource) else known


def seal_of(options: Mapping[str, object]) -> Seal | None:
    found = options.get(SEAL)
    assert found is None or isinstance(found, Seal)
    return found


def sealed_consumer(*topics: str, **options: object) -> AIOKafkaConsumer:
    """A consumer, not started, that hands out of control topics only what counts."""
    seal = seal_of(options)
    if seal is None:
        return AIOKafkaConsumer(*topics, **unsealed(options))
    consumer = _Consumer(*topics, **unsealed(options))
    consumer.door = _Door(seal)
    return consumer


def sealed_producer(**options: object) -> AIOKafkaProducer:
    """A producer, not started, that signs what it sends to control topics."""
    seal = seal_of(options)
    if seal is None:
        return AIOKafkaProducer(**unsealed(options))
    producer = _Producer(**unsealed(options))
    producer.seal = seal
    return producer


def writing_seal(client: AIOKafkaConsumer | AIOKafkaProducer) -> Seal | None:
    """With which to sign what is written by way of this client's connections."""
    return client.seal if isinstance(client, _Producer) else None


def verified(consumer: AIOKafkaConsumer, partition: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
    """Those records that count, of some that were fetched by this consumer otherwise than by its public calls."""
    return consumer.door.passing(partition, records) if isinstance(consumer, _Consumer) else records


class _Door:
    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._repeats = Repeats()
        for topic in seal.topics:  # 0, so that the first refusal is an increase
            metrics.CONTROL_REFUSED.labels(topic)

    def passing(self, partition: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        if not self._seal.covers(partition.topic):
            return records
        return [record for record in records if self._passes(partition, record)]

    def _passes(self, partition: TopicPartition, record: Record) -> bool:
        refusal = self._seal.refusal(partition.topic, partition.partition, record)
        if refusal is None:
            return True
        metrics.CONTROL_REFUSED.labels(partition.topic).inc()
        if times := self._repeats.due(partition.topic, time.monotonic()):
            log.warning(
                "a control record does not count, it is left out",
                topic=partition.topic, partition=partition.partition, offset=record.offset, why=refusal.value, times=times,
            )  # fmt: skip
        return False


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    door: _Door

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, Sequence[Record]]:
        fetched = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        passing = {partition: self.door.passing(partition, records) for partition, records in fetched.items()}
        return {partition: records for partition, records in passing.items() if records}

    async def getone(self, *partitions: TopicPartition) -> Any:
        while True:
            record = await super().getone(*partitions)
            if self.door.passing(TopicPartition(record.topic, record.partition), [record]):
                return record


class _Producer(AIOKafkaProducer):  # type: ignore[misc]
    seal: Seal

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
    ) -> Any:
        if self.seal.covers(topic):
            headers = self.seal.signed(topic, key, value, headers)
        return await super().send(topic, value, key, partition, timestamp_ms, headers)
