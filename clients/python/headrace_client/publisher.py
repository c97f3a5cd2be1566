"""Records to the broker: acks=all, an idempotent producer, and no wait without an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from headrace_client.connection import end, stop_within
from headrace_client.errors import NotPublished, TopicMissing, Unreachable
from headrace_client.names import PRIORITIES, Topics
from headrace_client.partitioner import contract_partitioner
from headrace_client.records import Outgoing

log = logging.getLogger("headrace_client")

_CLOSE_S: Final = 1.0
_MOST_BYTES: Final = 2 * 2**20
"""Of a request with its headers, before compression; the broker takes 1 MiB."""


@dataclass(frozen=True, slots=True)
class Published:
    """A request that the broker has. `event_id` (`topic:partition:offset`) is in its answer and in nobody else's."""

    request_id: str
    agent_id: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def event_id(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class Publisher:
    """One producer for all requests of a client."""

    def __init__(self, options: Mapping[str, Any], topics: Topics) -> None:
        self._topics = topics
        self._producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            max_request_size=_MOST_BYTES,
            partitioner=contract_partitioner,
        )

    async def start(self) -> None:
        """Raises Unreachable, TopicMissing."""
        try:
            await self._producer.start()
            cluster = await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            await self.stop(0.0)
            raise Unreachable(f"no Kafka broker took this client: {error!r}") from error
        missing = {self._topics.requests(priority) for priority in PRIORITIES} - set(cluster.topics())
        if len(missing) == len(PRIORITIES):  # a principal may be allowed to see one class alone
            await self.stop(0.0)
            raise TopicMissing(f"{', '.join(sorted(missing))}: no such topics, or none that this client may see")

    async def partitions(self, topic: str, within_s: float) -> int:
        """How many a topic has. Raises TopicMissing, Unreachable. To ask about a topic that is not there makes none."""
        client = self._producer.client
        known = client.cluster.partitions_for_topic(topic)
        try:
            if not known:
                async with asyncio.timeout(within_s):
                    known = (await client.fetch_all_metadata()).partitions_for_topic(topic)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unreachable(f"no Kafka broker tells of {topic}: {error!r}") from error
        if not known:
            raise TopicMissing(f"{topic}: no such topic, or none that this client may see")
        return len(known)

    async def publish(self, record: Outgoing, request_id: str, within_s: float) -> Published:
        """Raises NotPublished, after at most `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                sending = await self._producer.send(record.topic, record.value, key=record.key, headers=record.headers)
                # Shielded: a record that is given up here may be on its way, and its future belongs to the batch.
                acked = await asyncio.shield(sending)
        except TimeoutError as error:
            raise NotPublished(
                f"the broker has not confirmed request {request_id} within {within_s:g} s; it may have it all the same"
            ) from error
        except (KafkaError, ProducerClosed, OSError) as error:
            raise NotPublished(f"the broker did not take request {request_id}: {error!r}") from error
        if acked.offset is None or acked.offset < 0:
            # A repeated batch that the broker knows but whose place it has forgotten: the answer could not be told from
            # a stranger's.
            raise NotPublished(f"the broker has request {request_id} and does not say where; publish it again")
        return Published(request_id, record.key.decode(), acked.topic, acked.partition, acked.offset, acked.timestamp)

    async def stop(self, within_s: float) -> None:
        """Let what is on its way be taken for at most `within_s` seconds, and close."""
        if await stop_within(self._producer.stop(), within_s):
            return
        log.warning("the broker did not confirm all requests before the client was closed")
        sender = self._producer._sender  # its stop ends neither, once it was interrupted
        if sender is not None and sender.sender_task is not None:
            await end(sender.sender_task)
        await stop_within(self._producer.client.close(), _CLOSE_S)
