"""The workers of the fleet and what they tell of requests: followed on `metrics.samples`, asked over HTTP.

A sample says which partitions its worker owns and where it may be asked. The owner of a request's partition is asked; where that
is not known, up to sixteen are. Questions of many requests travel together. Nothing here is needed for an answer: where no
worker tells, nothing is known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp
import orjson
import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from schemas.metric_sample import MetricSample, parse_metric_sample
from streams.front.request_state import RequestState, read_request_states
from streams.front.worker_directory import KEPT_S, Directory
from streams.kafka.list_offsets import end_offsets
from streams.kafka.reconnect import make_consumer
from streams.supervise import end, supervised
from streams.waits import MOST_ASKED

log = structlog.get_logger("headrace.front")

_POLL_MS: Final = 1000
_AGAIN_S: Final = 5.0
_WITHIN_S: Final = 1.0
_TOGETHER_S: Final = 0.02
"""So long a question waits for others, so that a thousand streams that beat at once ask once."""
_MOST_BYTES: Final = 2_000_000
_MOST_SAMPLE_BYTES: Final = 262_144

_Question = tuple[str, str | None]


class Workers:
    """Start it; then `ask`."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self._client_options = client_options
        self._partition = TopicPartition(topic, 0)
        self._directory = Directory()
        self._heard_at: float | None = None
        """When a worker's sample was read last."""
        self._open: dict[_Question, asyncio.Future[RequestState | None]] = {}
        self._came = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [supervised("front_workers", self._follow), supervised("front_questions", self._answer)]

    async def stop(self) -> None:
        await end(self._tasks)
        if self._session is not None:
            await self._session.close()

    def live(self, now: float) -> bool:
        """Whether some worker lives, as far as is known: False where some have told of themselves here, and none has for a
        minute. True of a fleet that makes no samples. `now`: monotonic; clocks of workers may be far off.
        """
        return self._heard_at is None or now - self._heard_at < KEPT_S

    async def ask(self, request_id: str, record: str | None) -> RequestState | None:
        """Where the request is, by the worker that has it; None where none tells within 2 s. Raises nothing."""
        question = (request_id, record)
        asked = self._open.get(question)
        if asked is None:
            if len(self._open) >= 20_000:
                return None
            asked = self._open[question] = asyncio.get_running_loop().create_future()
            self._came.set()
        try:
            async with asyncio.timeout(2 * _WITHIN_S):
                return await asyncio.shield(asked)
        except TimeoutError:
            return None

    async def _answer(self) -> None:
        while True:
            await self._came.wait()
            await asyncio.sleep(_TOGETHER_S)
            self._came.clear()
            asked, self._open = self._open, {}
            try:
                await self._ask_all(asked)
            finally:
                for future in asked.values():
                    if not future.done():
                        future.set_result(None)

    async def _ask_all(self, asked: Mapping[_Question, asyncio.Future[RequestState | None]]) -> None:
        now = time.time()
        by_worker: dict[str, list[_Question]] = {}
        for request_id, record in asked:
            for address in self._directory.addresses(record, now):
                by_worker.setdefault(address, []).append((request_id, record))
        questions = [
            (address, each[at : at + MOST_ASKED])
            for address, each in by_worker.items()
            for at in range(0, len(each), MOST_ASKED)
        ]
        for told in await asyncio.gather(*(self._ask_one(address, each) for address, each in questions)):
            for question, found in told:
                future = asked[question]
                if found is not None and not future.done():
                    future.set_result(found)

    async def _ask_one(self, address: str, asked: Sequence[_Question]) -> list[tuple[_Question, RequestState | None]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN_S), trust_env=False)
        body = orjson.dumps({"requests": [{"id": request_id, "record": record} for request_id, record in asked]})
        headers = {"content-type": "application/json"}
        try:
            async with self._session.post(
                f"http://{address}/requests", data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    return []
                told = read_request_states(await answer.content.read(_MOST_BYTES), len(asked))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
            return []  # it has gone, or is busy: its requests will be told by the next owner
        return list(zip(asked, told, strict=True))

    async def _follow(self) -> None:
        """A front serves without this: what fails here makes it not less ready."""
        while True:
            try:
                await self._read()
            except (KafkaError, TimeoutError) as error:
                log.warning("samples of workers are not read now, nobody is told why requests wait", error=repr(error))
            await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        consumer = make_consumer(
            **{**self._client_options, "group_id": None, "enable_auto_commit": False, "fetch_max_wait_ms": 500}
        )
        try:
            await consumer.start()
            consumer.assign([self._partition])
            since_ms = round((time.time() - KEPT_S) * 1000)
            found = (await consumer.offsets_for_times({self._partition: since_ms}))[self._partition]
            stop = (await end_offsets(consumer, [self._partition]))[self._partition]
            consumer.seek(self._partition, stop if found is None else found.offset)
            while True:
                fetched = await consumer.getmany(self._partition, timeout_ms=_POLL_MS)
                for record in fetched.get(self._partition, ()):
                    self._note(record.value)
        finally:
            await consumer.stop()

    def _note(self, value: bytes | None) -> None:
        if value is None or len(value) > _MOST_SAMPLE_BYTES:
            return
        try:
            sample = parse_metric_sample(value)
        except (ValidationError, RecursionError):
            return
        if isinstance(sample, MetricSample):
            self._heard_at = time.monotonic()
            self._directory.note(sample.worker_id, sample.address, sample.owned, sample.at.timestamp())
