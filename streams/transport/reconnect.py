"""A Kafka client that finds its cluster again.

aiokafka asks only the brokers that its last metadata names. When all of them come back under other addresses behind the same
bootstrap list, it never finds them (kafka#13277), and it looks for new partitions and topics every 300 s. Here the bootstrap
addresses are tried when no known broker answers, with DNS asked anew; and metadata is as fresh as the shortest time limits of
requests need.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

from streams.transport.metadata import KnownTopics, Metadata
from streams.transport.repeats import Repeats

log = structlog.get_logger("headrace.transport")

METADATA_MAX_AGE_S: Final = 10.0
"""A class may wait 10 s for dispatch, by default: partitions that were added are to be read in that time."""

_JITTER: Final = 0.2
_BACK_OFF_S: Final = (0.1, 0.4)
"""After the first failure, and at most: whoever joins a group late after an outage makes it move partitions twice."""
_CONNECT_S: Final = 10.0

_BOOTSTRAP: Final = ("bootstrap", ConnectionGroup.DEFAULT)
"""Where aiokafka keeps a connection to a cluster that named no broker yet."""

_GONE: Final = (OSError, TimeoutError, KafkaError)


class ReconnectingClient(AIOKafkaClient):  # type: ignore[misc]
    """In place of aiokafka's client: `reconnecting` makes one of a client that has not connected yet."""

    known: KnownTopics
    _repeats: Repeats
    _failures: int

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        request = Metadata(list(topics) if topics else None)
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if _BOOTSTRAP in self._conns:
            nodes.append("bootstrap")
        random.shuffle(nodes)
        for node_id in nodes:
            if await self._ask_node(node_id, request, cluster_metadata):
                return self._works()
        for host, port, _ in collect_hosts(self._bootstrap_servers):
            if await self._ask_address(host, port, request, cluster_metadata):
                return self._works()
        if times := self._repeats.due("cluster", time.monotonic()):
            log.warning(
                "no Kafka broker answers, trying again",
                known={str(b.nodeId): f"{b.host}:{b.port}" for b in self.cluster.brokers()},
                bootstrap=self._bootstrap_servers,
                times=times,
            )
        first_s, last_s = _BACK_OFF_S
        pause_s = min(last_s, first_s * 2 ** min(self._failures, 10))
        self._failures += 1
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
        return False

    async def _ask_node(self, node_id: Any, request: Metadata, cluster_metadata: Any) -> bool:
        try:
            async with asyncio.timeout(_CONNECT_S):  # an address that is nobody's any more may not even refuse
                connection = await self._get_conn(node_id)
            if connection is None:
                return False
            return self._take(await connection.send(request), cluster_metadata)
        except _GONE:
            return False

    async def _ask_address(self, host: str, port: int, request: Metadata, cluster_metadata: Any) -> bool:
        """Ask a bootstrap address; what it names are the brokers from now on, under its addresses."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                connection = await create_conn(host, port, **self._connection_options())
        except _GONE:
            return False
        try:
            return self._take(await connection.send(request), cluster_metadata)
        except _GONE:
            return False
        finally:
            connection.close()

    def _take(self, response: Any, cluster_metadata: Any) -> bool:
        if not response.brokers:
            return False
        before = cluster_metadata._partitions if cluster_metadata is self.cluster else {}
        read, failed = self.known.read(response, before)
        for topic, error in failed.items():
            if times := self._repeats.due(topic, time.monotonic()):
                log.warning(
                    "a topic's metadata cannot be had now, going on as before", topic=topic, error=error, times=times
                )
        cluster_metadata.update_metadata(read)
        return True

    def _works(self) -> bool:
        self._failures = 0
        if _BOOTSTRAP in self._conns and self.cluster.brokers():
            self._conns.pop(_BOOTSTRAP).close()
        if self._repeats.over("cluster"):
            log.info("a Kafka broker answers again")
        return True

    def _connection_options(self) -> dict[str, Any]:
        return {
            "client_id": self._client_id,
            "request_timeout_ms": self._request_timeout_ms,
            "ssl_context": self._ssl_context,
            "security_protocol": self._security_protocol,
            "max_idle_ms": self._connections_max_idle_ms,
            "sasl_mechanism": self._sasl_mechanism,
            "sasl_plain_username": self._sasl_plain_username,
            "sasl_plain_password": self._sasl_plain_password,
            "sasl_kerberos_service_name": self._sasl_kerberos_service_name,
            "sasl_kerberos_domain_name": self._sasl_kerberos_domain_name,
            "sasl_oauth_token_provider": self._sasl_oauth_token_provider,
        }


def reconnecting(client: AIOKafkaClient) -> None:
    """Make a client that has not connected yet one that finds its cluster again."""
    client.__class__ = ReconnectingClient
    client.known = KnownTopics()
    client._repeats = Repeats()
    client._failures = 0


def _fresh(options: Mapping[str, Any]) -> dict[str, Any]:
    age_ms = METADATA_MAX_AGE_S * 1000 * random.uniform(1 - _JITTER, 1)
    return {"metadata_max_age_ms": round(age_ms), **options}


def make_consumer(*topics: str, **options: Any) -> AIOKafkaConsumer:
    """An AIOKafkaConsumer with these options that finds its cluster again."""
    consumer = AIOKafkaConsumer(*topics, **_fresh(options))
    reconnecting(consumer._client)
    return consumer


def make_producer(**options: Any) -> AIOKafkaProducer:
    """An AIOKafkaProducer with these options that finds its cluster again."""
    producer = AIOKafkaProducer(**_fresh(options))
    reconnecting(producer.client)
    return producer


def make_admin(**options: Any) -> AIOKafkaAdminClient:
    """An AIOKafkaAdminClient with these options that finds its cluster again."""
    admin = AIOKafkaAdminClient(**_fresh(options))
    reconnecting(admin._client)
    return admin


def made_anew(consumer: AIOKafkaConsumer, topic: str) -> bool:
    """Whether the topic was deleted and made again since this was asked last: offsets of before are of another log."""
    topics: set[str] = consumer._client.known.made_anew
    was = topic in topics
    topics.discard(topic)
    return was
