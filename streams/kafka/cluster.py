"""The cluster as one running client knows it, and produce requests to its brokers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import TopicPartition

from streams.kafka.allowed import allowed_operations
from streams.kafka.joint_produce import JointProduce
from streams.kafka.produce import ALL_IN_SYNC
from streams.kafka.sealed import writing_seal
from streams.signing import Seal
from streams.signing.signature import Headers
from topics.access import Allowed

NO_LEADER: Final = -1


class Cluster:
    """What writers and readers ask of a cluster. `client` is one of aiokafka's, or one that a test plays."""

    def __init__(self, client: AIOKafkaClient, seal: Seal | None = None) -> None:
        self._client = client
        self._seal = seal
        self._joint = JointProduce(client)

    def leader(self, partition: TopicPartition) -> int | None:
        """The broker that leads it; NO_LEADER where none does now, None where the partition is not known."""
        leader: int | None = self._client.cluster.leader_for_partition(partition)
        return leader

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of its partitions, as far as they are known; none of an unknown topic."""
        return self._client.cluster.partitions_for_topic(topic) or frozenset()

    def follow(self, topic: str) -> None:
        """Ask for this topic's metadata from now on."""
        self._client.add_topic(topic)

    async def find(self, topic: str) -> None:
        """Follow a topic until its partitions are known. Raises KafkaError where the cluster does not know it."""
        await self._client._wait_on_metadata(topic)

    def refresh_soon(self) -> None:
        """Something was not where the metadata says: ask for it anew."""
        self._client.force_metadata_update()

    async def refresh(self) -> bool:
        """Ask for the metadata anew; whether a broker has told it."""
        told: bool = await self._client.force_metadata_update()
        return told

    async def all_partitions(self) -> dict[str, list[TopicPartition]]:
        """Every topic of the cluster with its partitions. No topic is asked for by name, which might create it.

        Raises KafkaError.
        """
        cluster = await self._client.fetch_all_metadata()
        return {
            topic: [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]
            for topic in cluster.topics()
        }

    async def allowed(self, topics: Iterable[str]) -> Allowed:
        """What this user may do with these topics (KIP-430), as far as the broker tells. Raises KafkaError."""
        return await allowed_operations(self._client, topics)

    def signed(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Headers:
        """The headers of a record that is about to be put into a batch; signed, if it is a control record."""
        return headers if self._seal is None else self._seal.signed(topic, key, value, headers)

    async def produce(
        self, node_id: int, batches: Mapping[TopicPartition, bytes], timeout_ms: int, acks: int = ALL_IN_SYNC
    ) -> Mapping[TopicPartition, Exception]:
        """Write a batch to each of some partitions that one broker leads; which were not acked, and why. What others send to the
        broker in the same turn of the loop travels along.

        Raises KafkaError where there is no answer: then nobody knows.
        """
        return await self._joint.produce(node_id, batches, timeout_ms, acks)


def cluster_of(client: AIOKafkaConsumer | AIOKafkaProducer) -> Cluster:
    """The cluster as a started consumer or producer knows it."""
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
    return Cluster(connections, writing_seal(client))
