"""What stands on `agent.deltas` of requests that another worker had: read once for each, before it is called again.

The log is read from the request's record to its end, in one pass for all that wait for the same partition. A read that fails is
begun again; what is not known in time is taken for nothing: the answer then begins anew, and its reader is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.delivery.gathered import Gathered
from streams.kafka.list_offsets import end_offsets
from streams.kafka.reconnect import make_consumer
from streams.kept import Kept
from streams.supervise import Jobs
from topics.headers import CE_ID, REQUEST_ID

log = structlog.get_logger("headrace.delivery")

_WITHIN_S: Final = 30.0
_PAUSE_S: Final = 0.3
_POLL_MS: Final = 500
_CLOCKS_APART_S: Final = 2.0
"""Both times are the broker's, but of two brokers."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    to: TopicPartition
    request_id: bytes
    event_id: bytes
    since_ms: int
    found: asyncio.Future[Kept | None]


class DeltaHistory:
    """Reads with a consumer of its own, which is there only while somebody asks."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._client_options = client_options
        self._asks: list[_Ask] = []
        self._busy = False
        self._jobs = Jobs("delta_history")

    async def of(self, to: TopicPartition, request_id: bytes, event_id: bytes, since_s: float) -> Kept | None:
        """What was told of the request whose record `event_id` names, written at `since_s` (Unix seconds)."""
        since_ms = max(0, round((since_s - _CLOCKS_APART_S) * 1000))
        ask = _Ask(to, request_id, event_id, since_ms, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        if not self._busy:
            self._busy = True
            self._jobs.start(self._read_all(), self._give_up)
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await ask.found
        except TimeoutError:
            log.warning("not known in time what was told of a stream, it begins anew", request_id=request_id.decode())
            return None
        finally:
            if ask in self._asks:
                self._asks.remove(ask)

    async def stop(self) -> None:
        """Nobody is answered any more."""
        await self._jobs.end()

    def _give_up(self) -> None:
        """After a fault of ours: who asks goes on without."""
        self._busy = False
        for ask in self._asks:
            if not ask.found.done():
                ask.found.set_result(None)

    async def _read_all(self) -> None:
        while self._asks:
            try:
                await self._read_with_a_consumer()
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("deltas are not read now, trying again", error=str(error) or repr(error))
                await asyncio.sleep(_PAUSE_S)
        self._busy = False

    async def _read_with_a_consumer(self) -> None:
        consumer = make_consumer(
            **{
                **self._client_options,
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "earliest",
                "fetch_max_wait_ms": _POLL_MS,
            }
        )
        try:
            await consumer.start()
            while self._asks:
                await self._read(consumer, self._asks[0].to)
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        asks = [ask for ask in self._asks if ask.to == partition]
        gathered = {(ask.event_id, ask.request_id): Gathered() for ask in asks}
        consumer.assign([partition])
        end = (await end_offsets(consumer, [partition]))[partition]
        found = (await consumer.offsets_for_times({partition: min(ask.since_ms for ask in asks)}))[partition]
        consumer.seek(partition, end if found is None else found.offset)
        while await consumer.position(partition) < end and any(ask in self._asks for ask in asks):
            for record in (await consumer.getmany(partition, timeout_ms=_POLL_MS)).get(partition, ()):
                headers = dict(record.headers)
                ours = gathered.get((headers.get(CE_ID, b""), headers.get(REQUEST_ID, b"")))
                if ours is not None and record.offset < end:
                    ours.take(headers, record.value or b"")
        for ask in asks:
            if ask in self._asks:
                self._asks.remove(ask)
            if not ask.found.done():
                ask.found.set_result(gathered[ask.event_id, ask.request_id].kept())
