"""A stream that is told again from the log, and on: for a client that lost its connection, by whichever front it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.response import Response
from streams.front.exchange import BEAT_S, Beat, Broken, Event, StillWaits
from streams.front.finder import CLOCKS_APART_MS
from streams.front.follower import Cursor, Follower
from streams.front.ids import Where
from streams.front.request_records import RequestRecords
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.reconnect import make_consumer
from topics.headers import CE_ID, REQUEST_ID
from topics.names import TopicNames

_POLL_MS: Final = 500
_MOST_AT_ONCE: Final = 32
"""Each has a connection of its own."""


class Replays:
    """Tells streams again. `full`: so many are told that no more begin now."""

    def __init__(self, client_options: Mapping[str, Any], names: TopicNames) -> None:
        self._client_options = client_options
        self._names = names
        self._open = 0

    @property
    def full(self) -> bool:
        return self._open >= _MOST_AT_ONCE

    @asynccontextmanager
    async def follow(
        self, request_id: str, where: Where, after: Cursor | None, most_wait_s: float
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of the request's stream behind a place, or from its start. Raises KafkaError."""
        consumer = make_consumer(**{**self._client_options, "group_id": None, "enable_auto_commit": False})
        self._open += 1
        try:
            async with RequestRecords(self._client_options, self._names.requests, request_id) as records:
                await consumer.start()
                deltas = TopicPartition(self._names.deltas, where.lane)
                answers = TopicPartition(self._names.front_responses, where.lane)
                yield _Replay(consumer, deltas, answers, records, request_id).events(where, after, most_wait_s)
        finally:
            self._open -= 1
            await consumer.stop()


class _Replay:
    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        deltas: TopicPartition,
        answers: TopicPartition,
        records: RequestRecords,
        request_id: str,
    ) -> None:
        self._consumer = consumer
        self._deltas = deltas
        self._answers = answers
        self._records = records
        self._request_id = request_id.encode()

    async def events(self, where: Where, after: Cursor | None, most_wait_s: float) -> AsyncIterator[Event]:
        consumer, clock = self._consumer, asyncio.get_running_loop().time
        await self._seek(where)
        if after is not None and 0 <= after.offset < (await begin_offsets(consumer, [self._deltas]))[self._deltas]:
            yield Broken()  # what its reader has is not on the log any more, so that nobody knows where it stands
            return
        follower = Follower(where.lane, after)
        value: bytes | None = None
        until = 0
        began = told_at = clock()
        while not follower.ended:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            for record in fetched.get(self._deltas, ()):
                if await self._is_ours(record):
                    for event in follower.take(record.offset, dict(record.headers), record.value or b""):
                        told_at = began = clock()
                        yield event
            for record in fetched.get(self._answers, ()):
                if value is None and await self._is_ours(record):
                    value = record.value
                    until = (await end_offsets(consumer, [self._deltas]))[self._deltas]
            if value is not None and await consumer.position(self._deltas) >= until:
                for event in follower.whole(Response.model_validate_json(value)):
                    yield event
            elif clock() - began >= most_wait_s:
                yield StillWaits()
                return
            elif clock() - told_at >= BEAT_S:
                told_at = clock()
                yield Beat()

    async def _seek(self, where: Where) -> None:
        """To the moment of the request, by the broker's clock."""
        both = [self._deltas, self._answers]
        self._consumer.assign(both)
        since_ms = max(0, where.since_ms - CLOCKS_APART_MS)
        found = await self._consumer.offsets_for_times(dict.fromkeys(both, since_ms))
        ends = await end_offsets(self._consumer, both)
        for partition in both:
            at = found[partition]
            self._consumer.seek(partition, ends[partition] if at is None else at.offset)

    async def _is_ours(self, record: ConsumerRecord) -> bool:
        headers = dict(record.headers)
        return headers.get(REQUEST_ID) == self._request_id and await self._records.names(headers.get(CE_ID) or b"")
