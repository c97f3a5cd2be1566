r"""A key that is held by a request that is not on the log: its front died between the claim and the record.

    claimed --record--> published, by the front that claimed it; the rule
       |
       \--patience_s without a sign, and no such record--> published by one of those who wait for it, under the same id

Who waits looks for the record once its front has known the claim for so long that one that lives has published what it claimed,
or has failed. Of several that find none, one publishes: the first to claim that, by the order of the same log. If it dies too,
its claim grows old as the first one did.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.front.finder import CLOCKS_APART_MS
from streams.front.idempotency.claim_log import READ_BACK_S, ClaimLog
from streams.front.idempotency.claims import NO_BODY
from streams.front.ids import read_id
from streams.front.inbound import Inbound
from streams.front.request_records import request_id_of
from streams.kafka.list_offsets import end_offsets
from streams.kafka.reconnect import make_consumer
from topics.names import TopicNames
from topics.partitioner import partition_for

_SLACK_S: Final = 5.0
_MOST_AT_ONCE: Final = 4
"""Looks for records: each has a connection of its own."""
_MOST_RECORDS: Final = 50_000
"""That are read to find one. A partition with more of them since the claim cannot be told in time: the record counts as there."""
_LOOK_WITHIN_S: Final = 30.0
_POLL_MS: Final = 500


class Unpublished:
    """Finds requests that were claimed and never published. `request_timeout_s`: of the producer that publishes them."""

    def __init__(
        self, client_options: Mapping[str, Any], names: TopicNames, claims: ClaimLog, request_timeout_s: float
    ) -> None:
        self._client_options = client_options
        self._names = names
        self._claims = claims
        self._looks = asyncio.Semaphore(_MOST_AT_ONCE)
        self.patience_s: Final = READ_BACK_S + 2 * request_timeout_s + _SLACK_S
        """Seconds: the claim is read back, and a batch that waited for its whole time is sent at the end of it."""

    def may_be_lost(self, scope: bytes, request_id: str) -> bool:
        """Whether the request's claim, and that of who took over to publish it, are so old that both may have died. Cheap."""
        claims = self._claims
        return min(claims.held_for_s(scope), claims.held_for_s(_taking_over(request_id))) >= self.patience_s

    async def take_over(self, request_id: str) -> bool:
        """Whether the caller is to publish it now. Raises KafkaError, TimeoutError."""
        taking_over, own = _taking_over(request_id), secrets.token_hex(16)
        held = self._claims.holder(taking_over)
        if self._claims.held_for_s(taking_over) < self.patience_s:
            return False
        await self._claims.claim(taking_over, own, NO_BODY, None if held is None else held[0])
        return self._claims.holder(taking_over) == (own, NO_BODY)

    async def is_published(self, inbound: Inbound, request_id: str) -> bool:
        """Whether a record of the request is on the log. Raises KafkaError, TimeoutError."""
        where = read_id(request_id)
        if where is None:
            return True
        async with self._looks, asyncio.timeout(_LOOK_WITHIN_S):
            consumer = make_consumer(**{**self._client_options, "group_id": None, "enable_auto_commit": False})
            try:
                await consumer.start()
                since_ms = max(0, where.since_ms - CLOCKS_APART_MS)
                return await self._is_found(consumer, inbound, request_id, since_ms)
            finally:
                await consumer.stop()

    async def _is_found(self, consumer: AIOKafkaConsumer, inbound: Inbound, request_id: str, since_ms: int) -> bool:
        """In any class: the one who asks again may name another one."""
        topics = self._names.requests_of(inbound.tenant).values()
        consumer.assign([TopicPartition(topic, 0) for topic in topics])
        await end_offsets(consumer, consumer.assignment())  # it knows the topics' partitions then
        places = [
            TopicPartition(topic, partition_for(inbound.agent_id.encode(), len(numbers)))
            for topic in topics
            if (numbers := consumer.partitions_for_topic(topic))
        ]
        consumer.assign(places)
        ends = await end_offsets(consumer, places)
        found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        for place in places:
            consumer.seek(place, ends[place] if (at := found[place]) is None else at.offset)
        looked_at, named = 0, request_id.encode()
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                looked_at += len(records)
                # Only what names the id is parsed: a MiB of brackets, which anybody may have written there, takes 0.1 s.
                asked = [record.value for record in records if record.value is not None and named in record.value]
                if looked_at > _MOST_RECORDS or any(request_id_of(value) == request_id for value in asked):
                    return True
        return False


def _taking_over(request_id: str) -> bytes:
    """The record's key of a claim to publish it. No caller's claim can have it: theirs begin with a length."""
    return hashlib.sha256(f"publishing:{request_id}".encode()).hexdigest().encode()
