"""A Kafka client that finds its cluster again.

aiokafka asks only the brokers that its last metadata names. When all of them come back under other addresses behind the same
bootstrap list, it never finds them (kafka#13277), and it looks for new partitions and topics every 300 s. Here the bootstrap
addresses are tried when no known broker answers, with DNS asked anew; and metadata is as fresh as the shortest time limits of
requests need.

A broker may also stand still with its connections open (a paused machine, a cut cable): what is under way there would wait for
the request timeout. So metadata is asked for when an answer takes long, elsewhere first; and when the cluster no longer names a
broker, its connections are closed, and what waits on them goes to whoever leads now.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Mapping
from enum import Enum, auto
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.backoff import equal_jitter_s, exponential_s
from streams.kafka.backoff import Backoff
from streams.kafka.connection import Connection
from streams.kafka.connection_causes import explain_connection
from streams.kafka.metadata import KnownTopics
from streams.kafka.metadata_request import Metadata
from streams.kafka.repeats import Repeats
from streams.kafka.sealed import sealed_consumer, sealed_producer
from streams.supervise import supervised
from topics.broker_errors import Advice, advice_for

log = structlog.get_logger("headrace.transport")

METADATA_MAX_AGE_S: Final = 10.0
"""A class may wait 10 s for dispatch, by default: partitions that were added are to be read in that time."""

_JITTER: Final = 0.2
_BACK_OFF_S: Final = (0.1, 0.4)
"""After the first failure, and at most: whoever joins a group late after an outage makes it move partitions twice."""
_REFUSED_BACK_OFF_S: Final = (0.5, 5.0)
"""Of a broker that does not take the password: some lock users out who try often."""
_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 3.0
"""A broker that takes longer may be gone: metadata is asked for, and then another broker."""

_BOOTSTRAP_S: Final = 15.0
"""So long may all brokers be away while a process that has spoken with them makes one more client."""
_BOOTSTRAP_AGAIN_S: Final = 0.5
_answered: Final[set[Any]] = set()
"""Bootstrap addresses that have answered, of all clients of the process: a few, from its settings."""

_BOOTSTRAP: Final = ("bootstrap", ConnectionGroup.DEFAULT)
"""Where aiokafka keeps a connection to a cluster that named no broker yet."""

_GONE: Final = (OSError, TimeoutError, KafkaError)


class Said(Enum):
    """What became of a question for metadata."""

    BROKERS = auto()
    NO_BROKERS = auto()
    """An answer that names none: a broker that was away too long is taken back in a moment, or the cluster has no topic yet."""
    NOTHING = auto()


class ReconnectingClient(AIOKafkaClient):  # type: ignore[misc]
    """In place of aiokafka's client: `reconnecting` makes one of a client that has not connected yet."""

    known: KnownTopics
    _repeats: Repeats
    _failures: int
    _backoff: Backoff
    _connecting: dict[Any, asyncio.Lock]
    _sync_task: Any

    # ---- connections

    async def bootstrap(self) -> None:
        """aiokafka calls it at the start. Raises KafkaConnectionError where no bootstrap address answers: at once where none has
        since the process began, for then the address is wrong; else after a while, for then the cluster is in trouble.
        """
        ends = time.monotonic() + _BOOTSTRAP_S
        while not await self._bootstrap_once():
            if _answered.isdisjoint(self.hosts) or time.monotonic() >= ends:
                raise KafkaConnectionError(f"Unable to bootstrap from {self.hosts}")
            await asyncio.sleep(_BOOTSTRAP_AGAIN_S)
        _answered.update(self.hosts)
        if self._sync_task is None:
            self._sync_task = supervised("metadata", self._md_synchronizer)

    async def _bootstrap_once(self) -> bool:
        """Whether any of the addresses answers."""
        for host, port, _ in self.hosts:
            try:
                connection = await self._connect(host, port)
            except _GONE:
                continue
            try:
                async with asyncio.timeout(_CONNECT_S):
                    self._take(await connection.send(Metadata([])), self.cluster)
            except _GONE:
                connection.close()
                continue
            if self.cluster.brokers():
                connection.close()
            else:  # until the cluster names a broker, this is the way to it
                self._conns[_BOOTSTRAP] = connection
            return True
        return False

    async def _get_conn(self, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, no_hint: bool = False) -> Any:
        """A connection to this broker; None where there is none now. In place of aiokafka's, which connects to one broker at a
        time: one that nobody reaches would keep all others waiting.
        """
        place = (node_id, group)
        connection = self._conns.get(place)
        if connection is not None and connection.connected():
            return connection
        async with self._connecting.setdefault(place, asyncio.Lock()):
            connection = self._conns.get(place)
            if connection is not None and connection.connected():
                return connection
            self._conns.pop(place, None)
            broker = self.cluster.broker_metadata(node_id)
            try:
                if broker is None:
                    return None
                self._conns[place] = await self._connect(broker.host, broker.port, self._on_connection_closed)
                return self._conns[place]
            except _GONE:
                return None
            finally:
                if place not in self._conns:
                    self.force_metadata_update()  # it may be elsewhere

    async def _connect(self, host: str, port: int, on_close: Any = None) -> Connection:
        """Raises what keeps it from being connected, said once a minute; at once while the address is to be left alone."""
        address = f"{host}:{port}"
        if not self._backoff.may(address, time.monotonic()):
            raise KafkaConnectionError(f"{address} was tried a moment ago")
        connection = Connection(
            host,
            port,
            on_close=on_close,
            client_id=self._client_id,
            request_timeout_ms=self._request_timeout_ms,
            ssl_context=self._ssl_context,
            security_protocol=self._security_protocol,
            max_idle_ms=self._connections_max_idle_ms,
            sasl_mechanism=self._sasl_mechanism,
            sasl_plain_username=self._sasl_plain_username,
            sasl_plain_password=self._sasl_plain_password,
            sasl_kerberos_service_name=self._sasl_kerberos_service_name,
            sasl_kerberos_domain_name=self._sasl_kerberos_domain_name,
            sasl_oauth_token_provider=self._sasl_oauth_token_provider,
        )
        try:
            async with asyncio.timeout(_CONNECT_S):  # an address that is nobody's any more may not even refuse
                await connection.connect()
        except Exception as error:
            refused = isinstance(error, KafkaError) and advice_for(error) is Advice.PROCESS
            now = time.monotonic()
            self._backoff.failed(address, now, _REFUSED_BACK_OFF_S if refused else _BACK_OFF_S)
            if times := self._repeats.due(address, now):
                log.warning(
                    "a Kafka broker cannot be reached, trying again",
                    address=address, error=explain_connection(error), times=times,
                )  # fmt: skip
            if isinstance(error, _GONE):
                raise
            raise KafkaConnectionError(f"{address}: {error!r}") from error  # what answers there is no Kafka
        self._backoff.worked(address)
        if self._repeats.over(address):
            log.info("a Kafka broker is reached again", address=address)
        return connection

    async def send(self, node_id: Any, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
        """As aiokafka's; and while the answer takes long, metadata is asked for: this broker may be gone."""
        loop = asyncio.get_running_loop()

        timers: list[asyncio.TimerHandle] = []

        def takes_long() -> None:
            self.force_metadata_update()
            timers[:] = [loop.call_later(_ANSWER_S, takes_long)]

        timers.append(loop.call_later(_ANSWER_S, takes_long))
        try:
            return await super().send(node_id, request, group=group)
        finally:
            timers[0].cancel()

    # ---- metadata

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        request = Metadata(list(topics) if topics else None)
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if _BOOTSTRAP in self._conns:
            nodes.append("bootstrap")
        random.shuffle(nodes)
        nodes.sort(key=self._is_stuck)
        said = Said.NOTHING
        for left, node_id in reversed(list(enumerate(reversed(nodes)))):
            said = await self._ask_node(node_id, request, cluster_metadata, _ANSWER_S if left else _CONNECT_S)
            if said is Said.BROKERS:
                return self._works()
        if said is Said.NO_BROKERS:
            return False  # as aiokafka: whoever needs more asks again
        for host, port, _ in self.hosts:
            if await self._ask_address(host, port, request, cluster_metadata) is Said.BROKERS:
                return self._works()
        if times := self._repeats.due("cluster", time.monotonic()):
            log.warning(
                "no Kafka broker answers, trying again",
                known={str(b.nodeId): f"{b.host}:{b.port}" for b in self.cluster.brokers()},
                bootstrap=self._bootstrap_servers,
                times=times,
            )
        self._failures += 1
        await asyncio.sleep(equal_jitter_s(exponential_s(self._failures, *_BACK_OFF_S)))
        return False

    async def _ask_node(self, node_id: Any, request: Metadata, cluster_metadata: Any, within_s: float) -> Said:
        connection = await self._get_conn(node_id)
        if connection is None:
            return Said.NOTHING
        try:
            async with asyncio.timeout(within_s):
                return self._take(await connection.send(request), cluster_metadata)
        except _GONE:
            return Said.NOTHING

    async def _ask_address(self, host: str, port: int, request: Metadata, cluster_metadata: Any) -> Said:
        """Ask a bootstrap address; what it names are the brokers from now on, under its addresses."""
        try:
            connection = await self._connect(host, port)
        except _GONE:
            return Said.NOTHING
        try:
            async with asyncio.timeout(_CONNECT_S):
                return self._take(await connection.send(request), cluster_metadata)
        except _GONE:
            return Said.NOTHING
        finally:
            connection.close()

    def _take(self, response: Any, cluster_metadata: Any) -> Said:
        if not response.brokers:
            return Said.NO_BROKERS
        before = cluster_metadata._partitions if cluster_metadata is self.cluster else {}
        read, failed = self.known.read(response, before)
        for topic, error in failed.items():
            if times := self._repeats.due(topic, time.monotonic()):
                log.warning(
                    "a topic's metadata cannot be had now, going on as before", topic=topic, error=error, times=times
                )
        cluster_metadata.update_metadata(read)
        self._leave({broker[0] for broker in response.brokers})
        return Said.BROKERS

    def _leave(self, named: Collection[int]) -> None:
        """Close connections on which something waits, to brokers that the cluster no longer names."""
        for (node_id, group), connection in list(self._conns.items()):
            if node_id not in named and (node_id, group) != _BOOTSTRAP and _waits(connection):
                connection.close(reason=CloseReason.CONNECTION_BROKEN)

    def _is_stuck(self, node_id: Any) -> bool:
        return any(node == node_id and _waits(connection) for (node, _), connection in self._conns.items())

    def _works(self) -> bool:
        self._failures = 0
        if _BOOTSTRAP in self._conns and self.cluster.brokers():
            self._conns.pop(_BOOTSTRAP).close()
        if self._repeats.over("cluster"):
            log.info("a Kafka broker answers again")
        return True


def _waits(connection: AIOKafkaConnection) -> bool:
    """Whether something has been waiting there for an answer."""
    return bool(connection._requests) and time.monotonic() - connection._last_action > _ANSWER_S


def reconnecting(client: AIOKafkaClient) -> None:
    """Make a client that has not connected yet one that finds its cluster again."""
    client.__class__ = ReconnectingClient
    client.known = KnownTopics()
    client._repeats = Repeats()
    client._failures = 0
    client._backoff = Backoff()
    client._connecting = {}


def _fresh(options: Mapping[str, object]) -> dict[str, object]:
    age_ms = METADATA_MAX_AGE_S * 1000 * random.uniform(1 - _JITTER, 1)
    return {"metadata_max_age_ms": round(age_ms), **options}


def make_consumer(*topics: str, **options: object) -> AIOKafkaConsumer:
    """An AIOKafkaConsumer with these options that finds its cluster again."""
    consumer = sealed_consumer(*topics, **_fresh(options))
    reconnecting(consumer._client)
    return consumer


def make_producer(**options: object) -> AIOKafkaProducer:
    """An AIOKafkaProducer with these options that finds its cluster again."""
    producer = sealed_producer(**_fresh(options))
    reconnecting(producer.client)
    return producer


def made_anew(consumer: AIOKafkaConsumer, topic: str) -> bool:
    """Whether the topic was deleted and made again since this was asked last: offsets of before are of another log."""
    topics: set[str] = consumer._client.known.made_anew
    was = topic in topics
    topics.discard(topic)
    return was
