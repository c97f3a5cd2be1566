"""The topic of claims: followed from its beginning into memory, and written.

A claim is written with all acks, and then waited for until this front has read it back: what the log has before it counts first.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from math import inf
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from schemas.claim import Claim
from streams.front.idempotency.claims import Claims
from streams.kafka.follow import LogFollower
from streams.kafka.records import Record
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.front")

MOST: Final = 500_000
"""Keys in memory, about 300 bytes each."""
_MOST_UNPUBLISHED: Final = 10_000
READ_BACK_S: Final = 10.0


class ClaimLog:
    """`producer` is started and stopped by its owner."""

    def __init__(self, client_options: Mapping[str, Any], topic: str, producer: AIOKafkaProducer) -> None:
        self._claims = Claims(MOST)
        self._partition = TopicPartition(topic, 0)
        self._follower = LogFollower(
            client_options, [self._partition], self._note, on_anew=self._claims.clear, on_read=self._wake
        )
        self._producer = producer
        self._read = asyncio.Event()
        """Set, and made anew, whenever records were read."""
        self._task: asyncio.Task[None] | None = None
        self._unpublished: OrderedDict[str, None] = OrderedDict()
        """Ids that this front has claimed and could not publish: the next one may."""

    async def start(self) -> None:
        """Begin to read; returns when all claims are known."""
        self._task = supervised("front_claims", self._follower.run)
        await self._follower.caught_up.wait()

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def holder(self, scope: bytes) -> tuple[str, bytes] | None:
        """The request that holds the key, and the hash of its body; None: the key is free."""
        return self._claims.holder(scope, time.time())

    def held_for_s(self, scope: bytes) -> float:
        """Seconds since this front has read the claim that holds the key; without end where there is none."""
        read_at = self._claims.read_at(scope)
        return inf if read_at is None else time.monotonic() - read_at

    def is_unpublished(self, request_id: str) -> bool:
        return request_id in self._unpublished

    def note_unpublished(self, request_id: str) -> None:
        """Its record is not on the log, as far as is known."""
        self._unpublished[request_id] = None
        if len(self._unpublished) > _MOST_UNPUBLISHED:
            self._unpublished.popitem(last=False)

    def note_published(self, request_id: str) -> None:
        self._unpublished.pop(request_id, None)

    async def claim(self, scope: bytes, request_id: str, body: bytes, after: str | None = None) -> None:
        """Claim the key; whether it worked, `holder` says then. Raises KafkaError, TimeoutError."""
        claim = Claim(request_id=request_id, body=body.hex(), after=after)
        value = claim.model_dump_json(exclude_none=True).encode()
        record = await self._producer.send_and_wait(self._partition.topic, value, key=scope, partition=0)
        async with asyncio.timeout(READ_BACK_S):
            while not self._follower.has_read(self._partition, record.offset):
                await self._read.wait()

    def _wake(self) -> None:
        read, self._read = self._read, asyncio.Event()
        read.set()

    def _note(self, record: Record) -> None:
        if record.key is None or record.value is None:
            return
        try:
            claim = Claim.model_validate_json(record.value)
        except ValidationError:
            log.warning("a record on the topic of claims is none", offset=record.offset)
            return
        self._claims.note(record.key, claim, record.timestamp / 1000, time.monotonic())
