"""A fetcher on a scripted cluster: brokers that answer as a test says, and the moments at which each was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from streams.transport.fetch import Fetch
from streams.transport.fetch_session import SessionRequest

TOPIC = "t"
MAX_WAIT_MS = 300
HOLD_MS = 10
"""How long a broker may hold a fetch while records are here."""
AHEAD_AT = 12
BACKOFF_S = 0.15
LIMIT_S = 2.0
EARLY_S, LATE_S = 0.02, 0.1
"""By so much a time seems to be another one, on a machine that does other things too."""
QUIET_S = 0.02
SPINS_AT = 50

OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC, NOT_LEADER, TOPIC_AUTHORIZATION, STORAGE, FENCED = 1, 2, 3, 6, 29, 56, 74

Numbers = Mapping[int, int]
"""An offset by partition of the topic."""


def at(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


def batch(offset: int, count: int, producer: int | None = None) -> bytes:
    """Records as a broker sends them; of a transaction, if of a producer."""
    is_transactional, producer_id = producer is not None, -1 if producer is None else producer
    builder = DefaultRecordBatchBuilder(2, 0, is_transactional, producer_id, 0, 0, 1 << 20)
    for number in range(count):
        assert builder.append(number, 1000, None, b"%d" % (offset + number), [])
    return offset.to_bytes(8, "big") + bytes(builder.build())[8:]


@dataclass(frozen=True)
class Part:
    """What an answer says of one partition."""

    number: int
    records: bytes = b""
    end: int = 0
    stable: int | None = None
    """The end of what is decided, where that is not the end of the log."""
    error_code: int = 0
    aborted: Sequence[tuple[int, int]] = ()

    def written(self, version: int) -> tuple[Any, ...]:
        said: list[Any] = [self.number, self.error_code, self.end]
        if version >= 4:
            said.append(self.end if self.stable is None else self.stable)
        if version >= 5:
            said.append(0)
        if version >= 4:
            said.append(list(self.aborted))
        if version >= 11:
            said.append(-1)
        return (*said, self.records)


def some(number: int, offset: int = 0, count: int = 1, behind: int = 0) -> Part:
    """Records of a partition, and so many that come after them."""
    return Part(number, batch(offset, count), offset + count + behind)


def refused(number: int, error_code: int) -> Part:
    return Part(number, end=-1, error_code=error_code)


@dataclass(frozen=True)
class Asked:
    """A fetch that a broker has got."""

    node_id: int
    wanted: Numbers
    max_wait_ms: int
    began: float
    struct: type[Any]
    outcome: asyncio.Future[Any]

    def answer(self, *parts: Part, topic: str = TOPIC) -> None:
        version = self.struct.API_VERSION
        session = {"error_code": 0, "session_id": 9} if version >= 7 else {}
        topics = [(topic, [part.written(version) for part in parts])] if parts else []
        made = self.struct.RESPONSE_TYPE(throttle_time_ms=0, topics=topics, **session)
        self.outcome.set_result(type(made).decode(made.encode()))

    def fail(self, error: BaseException) -> None:
        self.outcome.set_exception(error)


@dataclass
class Rig:
    """A consumer with nothing behind it, and what it asks for."""

    consumer: Any
    fetch: Fetch
    version: int = 6
    earliest: int = 0
    """What every partition begins with, as brokers say."""
    asked: asyncio.Queue[Asked] = field(default_factory=asyncio.Queue)
    placed: list[tuple[int, Sequence[int]]] = field(default_factory=list)
    """By which broker partitions were placed, and which."""
    refreshed: int = 0
    """How often metadata was asked for."""
    looked: int = 0
    """How often was looked who leads a partition."""

    async def send(self, node_id: int, request: Any) -> Any:
        loop = asyncio.get_running_loop()
        if isinstance(request, OffsetRequest):
            built = request.prepare({OffsetRequest.API_KEY: (1, 1)})
            ((topic, partitions),) = built.topics
            self.placed.append((node_id, sorted(number for number, _ in partitions)))
            assert {strategy for _, strategy in partitions} == {-2}
            return built.RESPONSE_TYPE([(topic, [(number, 0, -1, self.earliest) for number, _ in partitions])])
        assert isinstance(request, SessionRequest)
        built = request.prepare({FetchRequest.API_KEY: (self.version, self.version)})
        wanted = {number: offset for (_, number), offset in request._wanted.items()}
        outcome = loop.create_future()
        self.asked.put_nowait(Asked(node_id, wanted, built.max_wait_time, loop.time(), type(built), outcome))
        return await outcome

    def refresh(self) -> asyncio.Future[bool]:
        self.refreshed += 1
        done = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    def watch(self) -> None:
        """Take the place of what the client does, and count what it is asked."""
        client = self.consumer._client
        leader_of = client.cluster.leader_for_partition

        def look(partition: TopicPartition) -> Any:
            self.looked += 1
            return leader_of(partition)

        client.send, client.force_metadata_update, client.cluster.leader_for_partition = self.send, self.refresh, look

    def lead(self, leaders: Numbers) -> None:
        """Tell the client who leads what."""
        nodes = [(node_id, "127.0.0.1", 1, None) for node_id in (1, 2, 3)]
        partitions = [(0, number, node_id, [node_id], [node_id]) for number, node_id in leaders.items()]
        self.consumer._client.cluster.update_metadata(MetadataResponse_v1(nodes, 1, [(0, TOPIC, False, partitions)]))

    def assign(self, offsets: Numbers) -> None:
        self.consumer.assign([at(number) for number in offsets])
        for number, offset in offsets.items():
            self.consumer.seek(at(number), offset)

    async def next(self, node_id: int | None = None) -> Asked:
        """The next fetch, by that broker if it is said which."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                asked = await self.asked.get()
                if node_id in (None, asked.node_id):
                    return asked
                self.asked.put_nowait(asked)
                await asyncio.sleep(0)

    async def quiet(self, seconds: float = QUIET_S) -> None:
        """Nobody is asked for so long, nor is time spent on looking around."""
        looked = self.looked
        await asyncio.sleep(seconds)
        assert self.asked.empty(), self.asked.get_nowait()
        assert self.looked - looked < SPINS_AT, "it spins"

    async def ready(self, *numbers: int) -> None:
        """Until just these partitions have something to take."""
        await until(lambda: {partition.partition for partition in self.fetch.ready()} == set(numbers))

    def take(self, *numbers: int) -> list[list[int]]:
        """Take all of these partitions; the offsets."""
        return [[record.offset for record in self.fetch.take(at(number), 1000)[0]] for number in numbers]

    async def leave(self) -> None:
        """Say that what is here is left on purpose."""
        await self.fetch.wait(0)


def loops() -> int:
    """How many brokers are looked after."""
    return sum("RecordFetcher._ask " in str(task.get_coro()) for task in asyncio.all_tasks())


def about(expected_s: float, took_s: float) -> bool:
    return expected_s - EARLY_S <= took_s < expected_s + LATE_S


async def until(done: Callable[[], bool]) -> None:
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while not done():
        assert asyncio.get_running_loop().time() < ends_at, "it does not become so"
        await asyncio.sleep(0)


@asynccontextmanager
async def fetching(
    offsets: Numbers | None = None,
    *,
    leaders: Numbers | None = None,
    pause_s: float = 0.0,
    version: int = 6,
    **options: Any,
) -> AsyncIterator[Rig]:
    """A consumer that reads from these offsets; broker 1 leads all that is not said to be led by another one."""
    before = asyncio.all_tasks()
    consumer = AIOKafkaConsumer(
        bootstrap_servers="127.0.0.1:1",
        retry_backoff_ms=round(BACKOFF_S * 1000),
        **{"fetch_max_wait_ms": MAX_WAIT_MS, "auto_offset_reset": "earliest", **options},
    )
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    await asyncio.sleep(0)
    rig = Rig(consumer, Fetch(consumer, pause_s), version)
    rig.watch()
    rig.lead({**dict.fromkeys(range(20), 1), **(leaders or {})})
    if offsets is not None:
        rig.assign(offsets)
    rig.refreshed = 0
    try:
        yield rig
    finally:
        async with asyncio.timeout(LIMIT_S):
            await consumer.stop()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "no task is left"
    assert rig.asked.empty(), "a fetch that the test did not expect"
