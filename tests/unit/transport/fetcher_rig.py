"""When a broker is asked, and what for. The brokers are played by the tests, all else of aiokafka is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import (
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    NoOffsetForPartitionError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.transport.batch_reader import CorruptBatchError
from streams.transport.fetch import Fetch
from streams.transport.fetch_session import SessionRequest
from streams.transport.pacing import EMPTY_FETCH_FLOOR_S
from streams.transport.set_aside import SetAside

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


# ---- what is asked for


async def test_where_nothing_is_here_all_is_asked_for_and_the_broker_may_hold_it() -> None:
    async with fetching({0: 5, 1: 7, 2: 0}) as rig:
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (1, {0: 5, 1: 7, 2: 0}, MAX_WAIT_MS)
        await rig.quiet()


async def test_the_limits_of_the_consumer_are_those_of_its_fetches() -> None:
    async with fetching(
        fetch_min_bytes=3, fetch_max_bytes=5000, max_partition_fetch_bytes=700, isolation_level="read_committed"
    ) as rig:
        written: list[Any] = []

        async def send(_: int, request: Any) -> Any:
            written.append(request.prepare({FetchRequest.API_KEY: (4, 4)}))
            return await asyncio.get_running_loop().create_future()

        rig.consumer._client.send = send
        rig.assign({0: 5})
        await until(lambda: bool(written))
        (request,) = written
        assert (request.min_bytes, request.max_bytes, request.isolation_level) == (3, 5000, 1)
        assert request.topics == [(TOPIC, [(0, 5, 700)])]


async def test_while_all_that_is_here_may_be_taken_nothing_else_is_asked_for() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0, count=3))
        await rig.ready(0)
        await rig.quiet()
        assert [record.offset for record in rig.fetch.take(at(0), 2)[0]] == [0, 1]
        await rig.quiet()
        assert rig.take(0) == [[2]]
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 3, 1: 0}, MAX_WAIT_MS)


async def test_of_what_was_taken_there_is_more_and_it_is_asked_for_while_others_are_still_here() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}) as rig:
        (await rig.next()).answer(some(0, behind=1), some(1))
        await rig.ready(0, 1)
        await rig.quiet()
        rig.take(0)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1, 2: 0}, HOLD_MS)
        asked.answer(some(0, 1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {0: 2, 1: 1, 2: 0}


async def test_what_no_consumer_may_see_yet_is_not_more() -> None:
    async with fetching({0: 0, 1: 0}, isolation_level="read_committed") as rig:
        (await rig.next()).answer(Part(0, batch(0, 1), end=9, stable=1), some(1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()


@pytest.mark.parametrize("version", [1, 3])
async def test_a_broker_that_does_not_say_what_is_decided_is_asked_when_all_is_taken(version: int) -> None:
    async with fetching({0: 0, 1: 0}, version=version) as rig:
        (await rig.next()).answer(some(0, behind=9), some(1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {0: 1, 1: 1}


async def test_no_more_than_twelve_partitions_wait_when_more_is_fetched() -> None:
    numbers = range(AHEAD_AT + 2)
    async with fetching(dict.fromkeys(numbers, 0)) as rig:
        (await rig.next()).answer(*(some(number, behind=9) for number in numbers))
        await rig.ready(*numbers)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1, 1: 1}, HOLD_MS)


@pytest.mark.parametrize(("max_wait_ms", "hold_ms"), [(MAX_WAIT_MS, HOLD_MS), (4, 4)])
async def test_what_is_left_on_purpose_holds_the_others_back_for_a_moment_only(max_wait_ms: int, hold_ms: int) -> None:
    async with fetching({0: 0, 1: 0, 2: 0}, fetch_max_wait_ms=max_wait_ms) as rig:
        (await rig.next()).answer(some(0, count=2))
        await rig.ready(0)
        await rig.quiet()
        await rig.leave()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0, 2: 0}, hold_ms)
        asked.answer()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0, 2: 0}, hold_ms)
        assert rig.take(0) == [[0, 1]]
        asked.answer()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 2, 1: 0, 2: 0}, max_wait_ms)


async def test_where_all_is_left_on_purpose_nothing_is_asked_for_until_some_is_taken() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0), some(1))
        await rig.ready(0, 1)
        await rig.leave()
        await rig.quiet()
        rig.take(0)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1}, HOLD_MS)


async def test_what_comes_after_something_was_left_is_to_be_taken_first() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        (await rig.next()).answer(some(1))
        await rig.ready(0, 1)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {1: 1, 2: 0}


async def test_what_was_left_once_and_comes_anew_is_to_be_taken_first() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        held = await rig.next()
        rig.take(0)
        held.answer()
        (await rig.next()).answer(some(0, 1))
        await rig.ready(0)
        await rig.quiet()


# ---- when


async def test_after_few_records_the_next_fetch_begins_a_pause_after_the_last_one_began() -> None:
    pause_s, held_s = 0.2, 0.15
    async with fetching({0: 0}, pause_s=pause_s) as rig:
        asked = await rig.next()
        await asyncio.sleep(held_s)
        asked.answer(some(0))
        await rig.ready(0)
        rig.take(0)
        assert about(pause_s, (await rig.next()).began - asked.began)


@pytest.mark.parametrize(
    "parts",
    [
        [some(0, count=100)],
        [some(0, count=1, behind=99)],
        [some(0, count=50), some(1, count=1, behind=49)],
    ],
    ids=["brought", "behind", "of two"],
)
async def test_where_a_hundred_records_wait_there_is_no_pause(parts: Sequence[Part]) -> None:
    async with fetching({0: 0, 1: 0}, pause_s=60) as rig:
        (await rig.next()).answer(*parts)
        numbers = [part.number for part in parts]
        await rig.ready(*numbers)
        rig.take(*numbers)
        await rig.next()


async def test_where_less_than_a_hundred_wait_there_is_a_pause() -> None:
    async with fetching({0: 1000, 1: 0}, pause_s=60) as rig:
        (await rig.next()).answer(some(0, 1000, count=50), some(1, count=1, behind=48))
        await rig.ready(0, 1)
        rig.take(0, 1)
        await rig.quiet()


async def test_a_broker_that_does_not_hold_a_fetch_of_nothing_is_not_asked_before_the_floor() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        asked.answer()
        again = await rig.next()
        assert about(EMPTY_FETCH_FLOOR_S, again.began - asked.began)
        await asyncio.sleep(EMPTY_FETCH_FLOOR_S)
        again.answer()
        answered = asyncio.get_running_loop().time()
        assert about(0, (await rig.next()).began - answered), "a fetch that was held is over the floor"


async def test_the_floor_is_not_above_what_a_broker_that_holds_would_take() -> None:
    async with fetching({0: 0}, fetch_max_wait_ms=5) as rig:
        asked = await rig.next()
        asked.answer()
        assert (await rig.next()).began - asked.began < EMPTY_FETCH_FLOOR_S - 0.005


async def test_who_waits_for_records_is_told_before_the_pause() -> None:
    async with fetching({0: 0}, pause_s=60) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        asked.answer(some(0))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        assert rig.take(0) == [[0]]


async def test_who_waits_is_not_told_of_nothing() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        asked.answer(Part(0, end=5))
        await rig.next()
        assert not waiting.done()
        rig.fetch.wake()
        await waiting


# ---- what comes back


@pytest.mark.parametrize("version", range(1, 12))
async def test_records_are_read_from_an_answer_of_every_version(version: int) -> None:
    async with fetching({0: 0, 1: 5}, version=version) as rig:
        (await rig.next()).answer(Part(0, batch(0, 2) + batch(2, 1), end=9, stable=7), Part(1, end=5))
        await rig.ready(0)
        assert (rig.consumer.highwater(at(0)), rig.consumer.highwater(at(1))) == (9, 5)
        assert rig.consumer.last_stable_offset(at(0)) == (7 if version >= 4 else None)
        assert rig.take(0) == [[0, 1, 2]]
        assert (await rig.next()).wanted == {0: 3, 1: 5}


@pytest.mark.parametrize("version", range(4, 12))
async def test_what_was_aborted_is_passed_by_in_an_answer_of_every_version(version: int) -> None:
    async with fetching({0: 0}, version=version, isolation_level="read_committed") as rig:
        records = batch(0, 2, producer=7) + batch(2, 1, producer=8) + batch(3, 1)
        (await rig.next()).answer(Part(0, records, end=4, aborted=[(7, 0)]))
        await rig.ready(0)
        assert rig.take(0) == [[2, 3]]
        assert (await rig.next()).wanted == {0: 4}


async def test_a_record_whose_bytes_are_broken_is_no_record() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 1)
        (await rig.next()).answer(Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=1))
        await rig.ready(0)
        for _ in range(2):
            with pytest.raises(CorruptBatchError, match="checksum"):
                rig.take(0)
        await rig.quiet()  # not again and again
        rig.fetch.fetch_again(at(0))
        assert (await rig.next()).wanted == {0: 0}


async def test_a_batch_that_is_corrupt_in_two_fetches_is_set_aside_where_that_is_asked_for() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 2)
        bad = Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=2)
        (await rig.next()).answer(bad)
        await rig.ready(0)
        with pytest.raises(CorruptBatchError):
            rig.take(0)
        rig.fetch.distrust(at(0))
        (await rig.next()).answer(bad)
        await rig.ready(0)
        (found, position) = rig.fetch.take(at(0), 10)
        assert [(type(each), each.offset) for each in found] == [(SetAside, 0), (SetAside, 1)]
        assert position == 2


async def test_a_batch_that_was_corrupted_on_its_way_is_read_when_it_comes_again() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 2)
        (await rig.next()).answer(Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=2))
        await rig.ready(0)
        with pytest.raises(CorruptBatchError):
            rig.take(0)
        rig.fetch.distrust(at(0))
        (await rig.next()).answer(Part(0, good, end=2))
        await rig.ready(0)
        assert rig.take(0) == [[0, 1]]


async def test_of_a_partition_that_was_sought_meanwhile_the_old_records_are_dropped() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        asked = await rig.next()
        rig.fetch.seek(at(0), 40)
        asked.answer(some(0), some(1))
        await rig.ready(1)
        rig.take(1)
        asked = await rig.next()
        assert asked.wanted == {0: 40, 1: 1}
        asked.answer(some(0, 40))
        await rig.ready(0)
        assert rig.take(0) == [[40]]
        await rig.next()


async def test_of_a_partition_that_is_to_begin_anew_the_old_records_are_dropped() -> None:
    async with fetching({0: 5}) as rig:
        rig.earliest = 2
        asked = await rig.next()
        with structlog.testing.capture_logs() as logs:
            placed = rig.fetch._fetcher.request_offset_reset([at(0)], -2)
            asked.answer(some(0, 5))
            async with asyncio.timeout(LIMIT_S):
                await placed
            assert (await rig.next()).wanted == {0: 2}
        assert not rig.fetch.ready()
        assert not logs


async def test_a_partition_that_is_sought_is_asked_for_at_once_and_what_was_here_is_dropped() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()
        rig.fetch.seek(at(0), 40)
        assert not rig.fetch.ready()
        assert (await rig.next()).wanted == {0: 40}


async def test_what_was_not_asked_for_is_not_kept() -> None:
    """A session names nothing that was forgotten; a broker that does all the same has sent it too late."""
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0, count=2))
        await rig.ready(0)
        await rig.leave()
        (await rig.next()).answer(some(0, count=1), some(1), some(9))
        await rig.ready(0, 1)
        assert rig.take(0, 1) == [[0, 1], [0]]
        await rig.next()


async def test_what_is_not_assigned_is_passed_by() -> None:
    async with fetching({0: 0}) as rig:
        with structlog.testing.capture_logs() as logs:
            (await rig.next()).answer(some(0), topic="another")
            (await rig.next()).answer(some(9), some(0))
            await rig.ready(0)
        assert not logs
        assert rig.take(0) == [[0]]
        await rig.next()


async def test_a_record_that_is_larger_than_a_fetch_is_passed_by_loudly() -> None:
    async with fetching({0: 0}, version=2, pause_s=60) as rig:
        waiting = asyncio.create_task(rig.fetch.wait(60))
        (await rig.next()).answer(Part(0, batch(0, 1)[:-1], end=500))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        with pytest.raises(RecordTooLargeError, match="a record at 0"):
            rig.take(0)
        assert rig.fetch._subscriptions._assigned_state(at(0)).position == 1


# ---- what goes wrong


@pytest.mark.parametrize("error_code", [NOT_LEADER, UNKNOWN_TOPIC])
async def test_a_broker_that_does_not_lead_is_asked_again_after_the_backoff_with_new_metadata(error_code: int) -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        asked = await rig.next()
        asked.answer(refused(0, error_code), some(1))
        await rig.ready(1)
        rig.take(1)
        assert rig.refreshed == 1
        again = await rig.next()
        assert again.wanted == {0: 0, 1: 1}
        assert about(BACKOFF_S, again.began - asked.began)


async def test_any_other_refusal_is_logged_and_tried_again_after_the_backoff() -> None:
    async with fetching({0: 0}) as rig:
        with structlog.testing.capture_logs() as logs:
            asked = await rig.next()
            asked.answer(refused(0, CORRUPT))
            again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - asked.began)
        assert [(line["partition"], line["error"]) for line in logs] == [("t:0", "CORRUPT_MESSAGE")]
        assert rig.refreshed == 0


async def test_a_fetch_that_was_refused_after_a_while_does_not_wait_for_longer() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        await asyncio.sleep(BACKOFF_S)
        asked.answer(refused(0, CORRUPT))
        assert about(BACKOFF_S, (await rig.next()).began - asked.began)


async def test_a_partition_whose_offset_is_gone_is_read_from_its_beginning() -> None:
    async with fetching({0: 5, 1: 7}) as rig:
        rig.earliest = 30
        (await rig.next()).answer(refused(0, OUT_OF_RANGE))
        asked = await rig.next()
        assert rig.placed == [(1, [0])]
        assert asked.wanted == {0: 30, 1: 7}
        asked.answer(some(0, 30))
        await rig.ready(0)
        assert rig.take(0) == [[30]]
        assert (await rig.next()).wanted == {0: 31, 1: 7}


async def test_where_no_offset_may_be_chosen_that_the_offset_is_gone_is_told() -> None:
    async with fetching({0: 5}, auto_offset_reset="none") as rig:
        for _ in range(2):
            waiting = asyncio.create_task(rig.fetch.wait(60))
            (await rig.next()).answer(refused(0, OUT_OF_RANGE))
            async with asyncio.timeout(LIMIT_S):
                await waiting
            with pytest.raises(OffsetOutOfRangeError):
                rig.take(0)
        assert (await rig.next()).wanted == {0: 5}
        assert not rig.placed


async def test_a_topic_that_may_not_be_read_is_told_to_who_takes_and_asked_for_again() -> None:
    async with fetching({0: 0}, pause_s=0) as rig:
        for _ in range(2):
            waiting = asyncio.create_task(rig.fetch.wait(60))
            asked = await rig.next()
            asked.answer(refused(0, TOPIC_AUTHORIZATION))
            async with asyncio.timeout(LIMIT_S):
                await waiting
            with pytest.raises(TopicAuthorizationFailedError, match=TOPIC):
                rig.take(0)
        again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - asked.began)


async def test_an_error_that_nobody_has_taken_is_not_asked_for_again() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(refused(0, TOPIC_AUTHORIZATION))
        await rig.ready(0)
        await rig.leave()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0}, HOLD_MS)


async def test_a_broker_that_cannot_be_reached_is_asked_again_after_the_backoff() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        failed = asyncio.get_running_loop().time()
        with structlog.testing.capture_logs() as logs:
            asked.fail(KafkaConnectionError())
            again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - failed)
        assert [(line["log_level"], line["broker"], line["error"]) for line in logs] == [
            ("warning", 1, "KafkaConnectionError")
        ]


async def test_a_fault_of_ours_is_logged_and_fetching_goes_on() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        other = await rig.next(2)
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                asked = await rig.next(1)
                failed = asyncio.get_running_loop().time()
                asked.fail(ValueError("a fault"))
                again = await rig.next(1)
                assert about(BACKOFF_S, again.began - failed)
                again.answer(some(0, again.wanted[0]))
                await rig.ready(0)
                rig.take(0)
        assert [(line["log_level"], line["broker"]) for line in logs] == [("error", 1)] * 2
        assert isinstance(logs[0]["exc_info"], ValueError)
        other.answer(some(1))
        await rig.ready(1)
        assert (await rig.next(1)).wanted == {0: 2}


# ---- where to begin


async def test_partitions_without_a_position_are_placed_before_any_is_asked_for() -> None:
    async with fetching() as rig:
        rig.earliest = 30
        rig.consumer.assign([at(0), at(1)])
        rig.consumer.seek(at(1), 7)
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        await rig.quiet()
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(-1, ""))
        assert (await rig.next()).wanted == {0: 30, 1: 7}
        assert rig.placed == [(1, [0])]


async def test_a_partition_begins_where_its_group_has_committed() -> None:
    async with fetching() as rig:
        rig.consumer.assign([at(0)])
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(17, ""))
        assert (await rig.next()).wanted == {0: 17}
        assert not rig.placed


async def test_where_no_offset_may_be_chosen_that_there_is_none_is_told() -> None:
    async with fetching(auto_offset_reset="none") as rig:
        rig.consumer.assign([at(0)])
        waiting = asyncio.create_task(rig.fetch.wait(60))
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(-1, ""))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        with pytest.raises(NoOffsetForPartitionError):
            rig.take(0)


# ---- whom


async def test_each_broker_is_asked_for_what_it_leads_and_waits_for_no_other() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}, leaders={1: 2}) as rig:
        first, second = await rig.next(1), await rig.next(2)
        assert (first.wanted, second.wanted) == ({0: 0, 2: 0}, {1: 0})
        first.answer(some(0))
        await rig.ready(0)
        second.answer(some(1))
        await rig.ready(0, 1)
        rig.take(1)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (2, {1: 1}, MAX_WAIT_MS)


async def test_where_a_leader_moves_the_new_one_is_asked_and_the_old_one_no_more() -> None:
    async with fetching({0: 0}) as rig:
        old = await rig.next()
        rig.lead({0: 2})
        new = await rig.next()
        assert (new.node_id, new.wanted) == (2, {0: 0})
        old.answer(refused(0, NOT_LEADER))
        await until(lambda: loops() == 1)
        new.answer(some(0))
        await rig.ready(0)
        rig.take(0)
        again = await rig.next()
        assert (again.node_id, again.wanted) == (2, {0: 1})
        await rig.quiet(BACKOFF_S + QUIET_S)
        assert loops() == 1


async def test_a_broker_that_leads_again_is_asked_again() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0), some(1))
        await rig.ready(0, 1)
        for leaders, lead in (({0: 2, 1: 1}, 2), ({0: 2, 1: 2}, 1), ({0: 1, 1: 2}, 2)):
            rig.lead(leaders)
            await rig.quiet()
            assert loops() == lead
        rig.take(0)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (1, {0: 1})
        rig.take(1)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {1: 1})


async def test_a_loop_with_nothing_to_ask_ends_when_its_broker_leads_nothing_more() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()
        rig.lead({0: 2})
        await rig.quiet()
        assert loops() == 1
        rig.take(0)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {0: 1})


async def test_metadata_that_moves_nothing_asks_for_nothing() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        for _ in range(3):
            rig.lead({0: 1})
            await rig.quiet()
        assert loops() == 1


@pytest.mark.parametrize("leader", [-1, None])
async def test_a_partition_without_a_leader_is_asked_for_when_it_has_one(leader: int | None) -> None:
    async with fetching({}) as rig:
        rig.lead({0: 1} if leader is None else {0: 1, 1: leader})
        rig.assign({0: 0, 1: 0})
        rig.refreshed = 0
        held = await rig.next()
        assert held.wanted == {0: 0}
        await until(lambda: rig.refreshed == 3)  # whether a refresh has failed is told to nobody
        assert about(2 * BACKOFF_S, asyncio.get_running_loop().time() - held.began)
        rig.lead({0: 1, 1: 2})
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {1: 0})
        assert rig.refreshed == 3


async def test_a_broker_that_cannot_say_where_to_begin_may_lead_no_more_and_is_looked_up() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        send = rig.send

        async def refuse_offsets(node_id: int, request: Any) -> Any:
            if isinstance(request, OffsetRequest):
                raise NotLeaderForPartitionError
            return await send(node_id, request)

        rig.consumer._client.send = refuse_offsets
        (await rig.next()).answer(refused(0, OUT_OF_RANGE))
        await until(lambda: rig.refreshed >= 2)


async def test_a_fetch_that_is_cancelled_by_another_hand_is_made_again() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        asked.outcome.cancel()
        assert (await rig.next()).wanted == {0: 0}


async def test_faults_of_two_brokers_are_both_told() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        asked = {each.node_id: each for each in (await rig.next(1), await rig.next(2))}
        with structlog.testing.capture_logs() as logs:
            for node_id in reversed(list(rig.fetch._fetcher._looks)):
                asked[node_id].fail(ValueError(f"at {node_id}"))
                await asyncio.sleep(0.01)
            await rig.next(1)
            await rig.next(2)
        assert sorted(line["broker"] for line in logs) == [1, 2]


# ---- another assignment, and the end


async def test_of_another_assignment_nothing_that_was_fetched_is_kept() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        (await rig.next(1)).answer(some(0))
        under_way = await rig.next(2)
        await rig.ready(0)
        rig.consumer.unsubscribe()
        rig.assign({0: 3, 2: 0})
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (1, {0: 3, 2: 0}, MAX_WAIT_MS)
        assert under_way.outcome.cancelled()
        assert loops() == 1
        asked.answer(some(2))
        await rig.ready(2)
        assert rig.take(2) == [[0]]
        await rig.next()


async def test_a_partition_that_was_assigned_before_too_begins_anew() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        rig.consumer.unsubscribe()
        rig.consumer.assign([at(0)])
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assert not rig.fetch.ready()
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(17, ""))
        assert (await rig.next()).wanted == {0: 17}


async def test_what_was_left_in_another_assignment_is_to_be_taken_in_this_one() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        await rig.next()
        rig.consumer.unsubscribe()
        rig.assign({0: 0, 1: 0})
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()


async def test_records_of_an_assignment_that_has_ended_are_none() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        asked.answer(some(0))
        rig.consumer.unsubscribe()
        await asyncio.sleep(0)
        await until(lambda: loops() == 0)
        assert not waiting.done()
        rig.assign({0: 9})
        assert (await rig.next()).wanted == {0: 9}
        rig.fetch.wake()
        await waiting


async def test_after_a_time_without_partitions_fetching_goes_on() -> None:
    async with fetching() as rig:
        await rig.quiet()
        for offset in (3, 4):
            rig.assign({0: offset})
            assert (await rig.next()).wanted == {0: offset}
            rig.consumer.unsubscribe()
            await rig.quiet()
            assert loops() == 0


async def test_an_error_of_the_group_ends_the_waiting_and_fetching_goes_on() -> None:
    async with fetching() as rig:
        await asyncio.sleep(0)
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        rig.consumer._subscription.abort_waiters(GroupAuthorizationFailedError("g"))
        await waiting
        rig.assign({0: 0})
        assert (await rig.next()).wanted == {0: 0}


@pytest.mark.parametrize("doing", ["fetching", "pausing", "looking", "placing", "without a leader", "unassigned"])
async def test_with_the_consumer_everything_ends(doing: str) -> None:
    """What does not end is found by `fetching`."""
    async with fetching(pause_s=60) as rig:
        if doing == "placing":
            rig.consumer.assign([at(0)])
            assignment = rig.consumer._subscription.subscription.assignment
            await until(lambda: bool(assignment.requesting_committed()))
        elif doing == "without a leader":
            rig.lead({0: -1})
            rig.assign({0: 0})
            await rig.quiet()
        elif doing != "unassigned":
            rig.assign({0: 0})
            asked = await rig.next()
            if doing != "fetching":
                asked.answer(some(0, behind=0 if doing == "pausing" else 200))
                await rig.ready(0)
                await rig.quiet()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT_S):
            await rig.consumer.stop()
            assert loops() == 0
            await waiting
        with pytest.raises(ConsumerStoppedError):
            rig.fetch.ready()
