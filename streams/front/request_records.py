"""Whether an answer or a delta that was found on the log is of the request that its id says: its `ce_id` names a record, and that
record is looked at. Whoever may write to the fronts' topics cannot answer for the fleet by an id alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import TopicPartition

from schemas.message import object_in
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.reconnect import make_consumer

_MOST_LOOKED_AT: Final = 8
"""Records that are read for one request: a stranger's answers may each name another one."""
_WITHIN_S: Final = 5.0
_MOST_LOOKS: Final = 6
"""At one record, while brokers change: what is taken for a stranger's for want of an answer would never be told."""
_PAUSE_S: Final = 0.5


class RequestRecords:
    """Looks at records of the request topics, for one request. Use it as a context: it opens a connection once it needs one."""

    def __init__(self, client_options: Mapping[str, Any], topics: Collection[str], request_id: str) -> None:
        self._client_options = client_options
        self._topics = topics
        self._request_id = request_id
        self._consumer: AIOKafkaConsumer | None = None
        self._known: dict[bytes, bool] = {}

    async def __aenter__(self) -> RequestRecords:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def names(self, event_id: bytes) -> bool:
        """Whether `topic:partition:offset` is a record of this request. False too where it is not there any more, or where too
        many others were looked at. Raises KafkaError.
        """
        if event_id not in self._known:
            if len(self._known) >= _MOST_LOOKED_AT:
                return False
            self._known[event_id] = await self._look_again(event_id)
        return self._known[event_id]

    async def _look_again(self, event_id: bytes) -> bool:
        """Look until there is an answer, with a new connection each time. Raises KafkaError where there is none."""
        error: Exception | None = None
        for _ in range(_MOST_LOOKS):
            try:
                async with asyncio.timeout(_WITHIN_S):
                    return await self._look(event_id)
            except (KafkaError, TimeoutError) as failed:
                error = failed
            await self._drop()
            await asyncio.sleep(_PAUSE_S)
        raise KafkaError(f"a request's record could not be read: {error!r}")

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_WITHIN_S):
                    await consumer.stop()

    async def _look(self, event_id: bytes) -> bool:
        topic, _, place = event_id.decode("utf-8", "replace").partition(":")
        number, _, offset = place.partition(":")
        if topic not in self._topics or not (
            number.isascii() and number.isdigit() and offset.isascii() and offset.isdigit()
        ):
            return False
        partition = TopicPartition(topic, int(number))
        consumer = self._consumer
        if consumer is None:
            consumer = self._consumer = make_consumer(
                **{**self._client_options, "group_id": None, "enable_auto_commit": False}
            )
            await consumer.start()
        if partition.partition not in (await self._numbers(consumer, topic)):
            return False
        consumer.assign([partition])
        begin = (await begin_offsets(consumer, [partition]))[partition]
        stop = (await end_offsets(consumer, [partition]))[partition]
        if not begin <= int(offset) < stop:
            return False
        consumer.seek(partition, int(offset))
        found = await consumer.getmany(partition, timeout_ms=round(_WITHIN_S * 500), max_records=1)
        if not found.get(partition):  # a marker of a transaction at the end of the log, or nobody answers
            if await consumer.position(partition) > int(offset):
                return False
            raise KafkaTimeoutError
        record = found[partition][0]
        return record.offset == int(offset) and request_id_of(record.value) == self._request_id

    async def _numbers(self, consumer: AIOKafkaConsumer, topic: str) -> Collection[int]:
        found: Collection[int] | None = consumer.partitions_for_topic(topic)
        if not found:
            consumer.assign([TopicPartition(topic, 0)])  # it asks for the topic's metadata
            await begin_offsets(consumer, [TopicPartition(topic, 0)])
            found = consumer.partitions_for_topic(topic)
        return found or ()


def request_id_of(value: bytes | None) -> str | None:
    """The request that a record is of; None where it says none."""
    named = object_in(value).get("request_id")
    return named if isinstance(named, str) else None
