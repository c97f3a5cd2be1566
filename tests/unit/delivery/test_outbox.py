"""The outbox against brokers of every mood: what is acked, in which order, who is told; without a network."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery import outbox as outbox_module
from streams.delivery import reply_trouble
from streams.delivery.batch import Message
from streams.delivery.outbox import Outbox
from streams.delivery.reply_trouble import ReplyTroubles
from streams.kafka.cluster import Cluster
from streams.metrics import definitions as metrics
from tests.support.requests import SampleSource, until

NOT_LEADER, NOT_ENOUGH_REPLICAS, TOO_LARGE, NOT_ALLOWED = 6, 19, 10, 29
LOST_BEFORE, LOST_AFTER, UNSAID = "lost before it was written", "lost after it was written", "nothing said of it"

Fate = int | str
"""An error code (0: an ack), or what becomes of the whole request."""


class Brokers:
    """A client of brokers that write what they ack, each batch by the next of `fates`; after those all is well."""

    def __init__(self, fates: Iterable[Fate] = (), leaders: dict[TopicPartition, int | None] | None = None) -> None:
        self.cluster = self
        self.fates = deque(fates)
        self.leaders = leaders
        self.log: dict[TopicPartition, list[bytes]] = defaultdict(list)
        self.requests: list[tuple[int, list[TopicPartition]]] = []
        self.under_way: dict[int, int] = defaultdict(int)
        self.most_under_way = 0
        self.looked_up = 0
        self.held: asyncio.Event | None = None

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        return 1 + partition.partition % 2 if self.leaders is None else self.leaders.get(partition)

    def add_topic(self, topic: str) -> None: ...

    def force_metadata_update(self) -> asyncio.Future[bool]:
        self.looked_up += 1
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    async def send(self, node_id: int, request: ProduceRequest) -> Any:
        asked = [
            (TopicPartition(topic, number), written) for topic, found in request._topics for number, written in found
        ]
        self.requests.append((node_id, [partition for partition, _ in asked]))
        self.under_way[node_id] += 1
        self.most_under_way = max(self.most_under_way, self.under_way[node_id])
        await asyncio.sleep(0)
        if self.held is not None:
            await self.held.wait()
        self.under_way[node_id] -= 1
        answers = []
        for partition, written in asked:
            fate = self.fates.popleft() if self.fates else 0
            if fate == LOST_BEFORE:
                raise KafkaConnectionError
            if fate in (0, LOST_AFTER, UNSAID):
                self.log[partition] += [record.value for record in MemoryRecords(bytes(written)).next_batch()]
            if fate == LOST_AFTER:
                raise KafkaConnectionError
            if fate != UNSAID:
                answers.append((partition.topic, [(partition.partition, fate, 0, -1, 0)]))
        struct = request.prepare({ProduceRequest.API_KEY: (7, 7)})
        return struct.RESPONSE_TYPE(topics=answers, throttle_time_ms=0)


@contextmanager
def short_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "_FIRST_RETRY_S", 0.0004)
        patch.setattr(outbox_module, "_LAST_RETRY_S", 0.001)
        yield


def value(number: int) -> bytes:
    return b"%06d" % number


def post(outbox: Outbox, partition: int, number: int, source: SampleSource) -> None:
    outbox.post(TopicPartition("t", partition), Message(b"k", value(number), [], source, number))


def first_seen(log: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(log))


FATES = st.sampled_from([0, 0, 0, NOT_LEADER, NOT_ENOUGH_REPLICAS, TOO_LARGE, LOST_BEFORE, LOST_AFTER, UNSAID])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60),
    st.lists(FATES, max_size=25),
    st.sampled_from([150, 100_000]),
)
def test_whatever_brokers_do_all_is_acked_in_the_order_in_which_it_was_posted(
    posts: list[tuple[int, int]], fates: list[Fate], batch_bytes: int
) -> None:
    async def run() -> None:
        brokers, source = Brokers(fates), SampleSource()
        outbox = Outbox(Cluster(brokers), batch_bytes, timeout_s=1)
        for number, (partition, turns) in enumerate(posts):
            post(outbox, partition, number, source)
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(lambda: len(source.finished) == len(posts))
        wanted = defaultdict(list)
        for number, (partition, _) in enumerate(posts):
            wanted[TopicPartition("t", partition)].append(value(number))
        assert {partition: first_seen(log) for partition, log in brokers.log.items()} == wanted
        assert sorted(source.finished) == list(range(len(posts)))
        assert brokers.most_under_way <= 1
        assert not source.marks or source.marks[-1] is False
        await outbox.stop()

    with short_pauses():
        asyncio.run(run())


async def test_what_is_posted_in_one_turn_is_one_request_a_broker_and_what_follows_the_next() -> None:
    brokers, source = Brokers(), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    brokers.held = asyncio.Event()
    for number in range(40):
        post(outbox, number % 4, number, source)
    await until(lambda: len(brokers.requests) == 2)
    for number in range(40, 80):  # the brokers have not answered yet
        post(outbox, number % 4, number, source)
        await asyncio.sleep(0)
    assert len(brokers.requests) == 2
    brokers.held.set()
    await until(lambda: len(source.finished) == 80)
    by_broker = {
        1: [TopicPartition("t", 0), TopicPartition("t", 2)],
        2: [TopicPartition("t", 1), TopicPartition("t", 3)],
    }
    assert sorted(brokers.requests) == sorted([(node, by_broker[node]) for node in (1, 2)] * 2)


async def test_nothing_is_finished_before_its_ack() -> None:
    brokers, source = Brokers(), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    brokers.held = asyncio.Event()
    post(outbox, 0, 0, source)
    await until(lambda: brokers.requests)
    await asyncio.sleep(0.01)
    assert source.finished == []
    brokers.held.set()
    await until(lambda: source.finished == [0])


@pytest.mark.parametrize(
    ("fates", "marks"),
    [
        ([NOT_LEADER], [False]),
        ([LOST_BEFORE], [False]),
        ([NOT_LEADER, NOT_LEADER], [True, False]),
        ([NOT_ALLOWED], [True, False]),
        ([UNSAID, NOT_LEADER, LOST_AFTER], [True, True, False]),
    ],
)
async def test_a_failure_that_passes_is_quiet_once_and_the_next_one_holds_the_partition(
    fates: list[Fate], marks: list[bool]
) -> None:
    brokers, source, before = Brokers(fates), SampleSource(), metrics.SEND_FAILURES._value.get()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    with short_pauses():
        post(outbox, 0, 0, source)
        await until(lambda: source.finished)
    assert source.marks == marks
    assert metrics.SEND_FAILURES._value.get() - before == marks.count(True)


async def test_a_leader_that_has_moved_is_looked_up_and_the_next_request_goes_there() -> None:
    partition = TopicPartition("t", 0)
    brokers, source = Brokers([NOT_LEADER], {partition: 1}), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    with short_pauses():
        post(outbox, 0, 0, source)
        await until(lambda: brokers.looked_up)
        brokers.leaders = {partition: 2}
        await until(lambda: source.finished)
    assert [node for node, _ in brokers.requests] == [1, 2]


async def test_a_partition_without_a_leader_is_looked_up_and_waited_for_and_others_are_served() -> None:
    here, nowhere = TopicPartition("t", 0), TopicPartition("t", 1)
    brokers, source = Brokers(leaders={here: 1, nowhere: -1}), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    with short_pauses():
        post(outbox, 1, 1, source)
        post(outbox, 0, 0, source)
        await until(lambda: source.finished == [0] and True in source.marks)
        brokers.leaders = {here: 1, nowhere: 2}
        await until(lambda: len(source.finished) == 2)
    assert source.marks[-1] is False
    assert brokers.log[nowhere] == [value(1)]


async def test_a_request_takes_no_more_than_brokers_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_REQUEST_BYTES", 1_000)
    brokers, source = Brokers(leaders={TopicPartition("t", number): 1 for number in range(20)}), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    for number in range(20):
        outbox.post(TopicPartition("t", number), Message(None, b"x" * 400, [], source, number))
    await until(lambda: len(source.finished) == 20)
    assert [len(partitions) for _, partitions in brokers.requests] == [3, 3, 3, 3, 3, 3, 2]


async def test_messages_of_a_batch_that_is_too_large_leave_one_by_one_and_before_what_came_later() -> None:
    brokers, source = Brokers([TOO_LARGE]), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    brokers.held = asyncio.Event()
    for number in range(3):
        post(outbox, 0, number, source)
    await until(lambda: brokers.requests)
    for number in range(3, 6):
        post(outbox, 0, number, source)
    brokers.held.set()
    await until(lambda: len(source.finished) == 6)
    assert brokers.log[TopicPartition("t", 0)] == [value(number) for number in range(6)]
    assert (len(brokers.requests), source.marks.count(True)) == (5, 0)


async def test_what_nobody_waits_for_any_more_is_given_up_and_the_rest_is_sent() -> None:
    brokers, gone, here = Brokers([NOT_LEADER] * 3), SampleSource(), SampleSource()
    outbox = Outbox(Cluster(brokers), batch_bytes=1, timeout_s=1)  # each message by itself
    with short_pauses():
        post(outbox, 0, 0, gone)
        await until(lambda: gone.marks)
        post(outbox, 0, 1, gone)
        post(outbox, 0, 2, here)
        gone.live = False
        await until(lambda: here.finished)
    assert gone.finished == []
    assert brokers.log[TopicPartition("t", 0)] == [value(2)]


async def test_a_receipt_that_fails_keeps_nobody_else() -> None:
    class Failing(SampleSource):
        def finish(self, start: int, stop: int | None = None) -> None:
            raise ValueError("a fault of ours")

    brokers, source = Brokers(leaders={TopicPartition("t", number): 1 for number in range(3)}), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    post(outbox, 0, 0, Failing())
    post(outbox, 1, 1, source)
    await until(lambda: source.finished == [1])
    post(outbox, 0, 2, source)
    await until(lambda: source.finished == [1, 2])


async def test_after_stop_nothing_leaves() -> None:
    brokers, source = Brokers(), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    post(outbox, 0, 0, source)
    await outbox.stop()
    await asyncio.sleep(0.01)
    assert (brokers.requests, source.finished) == ([], [])


INVALID_TIMESTAMP, UNKNOWN_TOPIC, INVALID_RECORD = 32, 3, 87
MINE, THEIRS = TopicPartition("t", 0), TopicPartition("agent.responses.b", 0)


class GivenUp:
    """What was given up, and why."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}

    def post(self, outbox: Outbox, number: int, source: SampleSource, to: TopicPartition = THEIRS) -> None:
        def note(reason: str) -> None:
            self.reasons[number] = reason

        outbox.post(to, Message(b"k", value(number), [], source, number, None, note))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        pytest.param(UNKNOWN_TOPIC, "UNKNOWN_TOPIC_OR_PARTITION", id="kafka#21672: the topic was deleted"),
        pytest.param(NOT_ALLOWED, "TOPIC_AUTHORIZATION_FAILED", id="SECURITY: no Write"),
        pytest.param(NOT_ENOUGH_REPLICAS, "NOT_ENOUGH_REPLICAS", id="min.insync.replicas above what there is"),
    ],
)
async def test_a_callers_topic_that_takes_nothing_is_given_up_and_holds_no_partition(code: int, name: str) -> None:
    brokers, source, gone = Brokers([code] * 10_000), SampleSource(), GivenUp()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=0.05, most_waiting=1000))
    with short_pauses():
        for number in range(5):
            gone.post(outbox, number, source)
        await until(lambda: len(gone.reasons) == 5)
    assert all(reason.startswith(name) for reason in gone.reasons.values())
    assert source.marks == []
    assert source.finished == []
    assert outbox.refuses(THEIRS.topic)
    assert not outbox.refuses(MINE.topic)
    await outbox.stop()


@pytest.mark.parametrize("code", [INVALID_TIMESTAMP, INVALID_RECORD], ids=["tulios/kafkajs#188", "KIP-467"])
async def test_an_answer_that_a_callers_topic_refuses_for_what_it_is_goes_at_once_and_its_company_does_not(
    code: int,
) -> None:
    brokers, source, gone = Brokers([code, 0, code, 0]), SampleSource(), GivenUp()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=1000, most_waiting=1000))
    for number in range(3):  # one batch, refused; then each by itself
        gone.post(outbox, number, source)
    await until(lambda: source.finished == [0, 2] and gone.reasons)
    assert list(gone.reasons) == [1]


async def test_a_topic_of_ours_is_never_given_up_and_its_partition_is_held() -> None:
    brokers, source = Brokers([INVALID_TIMESTAMP] * 30), SampleSource()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=0.001, most_waiting=0))
    with short_pauses():
        post(outbox, 0, 0, source)
        await until(lambda: source.finished)
    assert source.marks[-1] is False
    assert True in source.marks


async def test_a_callers_topic_that_mends_itself_in_time_gets_its_answers_in_order() -> None:
    brokers, source, gone = Brokers([UNKNOWN_TOPIC] * 6), SampleSource(), GivenUp()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=1000, most_waiting=1000))
    with short_pauses():
        for number in range(20):
            gone.post(outbox, number, source)
            await asyncio.sleep(0)
        await until(lambda: len(source.finished) == 20)
    assert first_seen(brokers.log[THEIRS]) == [value(number) for number in range(20)]
    assert gone.reasons == {}


async def test_a_cluster_that_is_away_costs_a_caller_no_answer() -> None:
    brokers, source, gone = Brokers([LOST_BEFORE] * 200), SampleSource(), GivenUp()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=0.02, most_waiting=1000))
    with short_pauses():
        gone.post(outbox, 0, source)
        await until(lambda: source.finished == [0])
    assert gone.reasons == {}


async def test_what_exceeds_the_bound_of_waiting_answers_is_given_up_at_once() -> None:
    brokers, source, gone = Brokers([UNKNOWN_TOPIC] * 100_000), SampleSource(), GivenUp()
    outbox = Outbox(Cluster(brokers), 100_000, 1, ReplyTroubles(patience_s=1000, most_waiting=10))
    with short_pauses(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(reply_trouble, "GRACE_S", 0.0)
        gone.post(outbox, 0, source)
        await until(lambda: THEIRS.topic in outbox._troubles)
        for number in range(1, 50):
            gone.post(outbox, number, source)
            await asyncio.sleep(0)
    assert 35 <= len(gone.reasons) <= 40
    await outbox.stop()
