"""Fetch sessions against an obvious model of the broker's side, and the fetches that a client sends in them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.fetch_session import FetchLimits, FetchSession, Offsets, Partition, SessionFetches, Told

NOT_FOUND, WRONG_EPOCH = 70, 71
LAST_EPOCH = 2**31 - 1

Partitions = dict[Partition, int]


@dataclass
class Answer:
    error_code: int
    session_id: int
    served: Partitions
    """What the broker reads for this fetch; of an error, nothing."""


@dataclass
class Broker:
    """By session, the epoch that has to come next and what is read in it."""

    sessions: dict[int, tuple[int, Partitions]] = field(default_factory=dict)
    offers: bool = True
    begun: int = 0

    def fetch(self, fetch: Told) -> Answer:
        if fetch.epoch == 0:
            self.sessions.pop(fetch.session_id, None)  # a full fetch ends the session that it names
            assert not fetch.forgotten
            if not self.offers:
                return Answer(0, 0, dict(fetch.named))
            self.begun += 1
            self.sessions[self.begun] = (1, dict(fetch.named))
            return Answer(0, self.begun, dict(fetch.named))
        if fetch.session_id not in self.sessions:
            return Answer(NOT_FOUND, 0, {})
        expected, known = self.sessions[fetch.session_id]
        if fetch.epoch != expected:
            return Answer(WRONG_EPOCH, 0, {})
        assert not fetch.named.items() & known.items(), "the broker knows that"
        assert set(fetch.forgotten) <= known.keys(), "the broker does not read that"
        read = {**known, **fetch.named}
        for partition in fetch.forgotten:
            del read[partition]
        if not read:  # a session of nothing is none
            del self.sessions[fetch.session_id]
            return Answer(0, 0, {})
        self.sessions[fetch.session_id] = (1 if expected == LAST_EPOCH else expected + 1, read)
        return Answer(0, fetch.session_id, read)

    def forget(self) -> None:
        self.sessions.clear()

    def move_epochs(self) -> None:
        """As if somebody else had fetched in these sessions."""
        self.sessions = {number: (expected + 1, read) for number, (expected, read) in self.sessions.items()}


PARTITIONS = [(topic, number) for topic in ("high", "low") for number in range(3)]
CHANGES = st.dictionaries(st.sampled_from(PARTITIONS), st.none() | st.integers(0, 3), max_size=4)
"""Partitions that come or move, and (None) those that go."""
FATES = st.sampled_from(["answered"] * 4 + ["lost before", "lost after", "comes late"])
EVENTS = st.sampled_from(["none"] * 4 + ["forget", "move epochs", "offer none", "offer"])


@settings(max_examples=500)
@given(st.lists(st.tuples(CHANGES, EVENTS, FATES, st.booleans()), max_size=40))
def test_whatever_goes_wrong_a_fetch_that_is_accepted_reads_what_is_wanted(
    steps: list[tuple[dict[Partition, int | None], str, str, bool]],
) -> None:
    session, broker = FetchSession(), Broker()
    wanted: Partitions = {}
    settled: Partitions | None = None  # what both sides know of, where nothing went wrong
    must_begin, lost_beginnings = True, 0
    on_their_way: list[Told] = []  # given up by the consumer, and not yet with the broker
    for changes, event, fate, arrive in steps:
        for partition, change in changes.items():
            wanted.pop(partition, None)
            if change is not None:
                wanted[partition] = change
        if event in ("forget", "move epochs"):
            broker.forget() if event == "forget" else broker.move_epochs()
        elif event != "none":
            broker.offers = event == "offer"

        fetch = session.ask(dict(wanted))
        assert (fetch.epoch == 0) == must_begin
        if settled is not None:
            assert fetch.named == {at: new for at, new in wanted.items() if settled.get(at) != new}
            assert sorted(fetch.forgotten) == sorted(settled.keys() - wanted.keys())
        else:
            assert fetch.named == wanted
        lost_beginnings += fetch.epoch == 0 and fate in ("lost after", "comes late")

        answer = broker.fetch(fetch) if fate in ("answered", "lost after") else None
        if fate == "comes late":
            on_their_way.append(fetch)
        if arrive:
            for late in on_their_way:
                broker.fetch(late)
            on_their_way.clear()
        if answer is not None and not answer.error_code:
            assert answer.served == wanted
        assert answer is None or not (must_begin and answer.error_code), "a beginning is accepted"
        if answer is not None and fate == "answered":
            session.answered(answer.error_code, answer.session_id)
            must_begin = bool(answer.error_code) or not answer.session_id
        else:
            session.lost()
            must_begin = True
        settled = None if must_begin else dict(wanted)
        # A session whose beginning was lost cannot be ended by who does not know its name. Every other one is.
        assert len(broker.sessions) <= 1 + lost_beginnings


def test_in_a_steady_state_only_what_moved_is_named() -> None:
    session, broker = FetchSession(), Broker()
    wanted = {("t", number): 0 for number in range(36)}
    answer = broker.fetch(session.ask(dict(wanted)))
    session.answered(answer.error_code, answer.session_id)
    for number in range(100):
        moved = ("t", number % 36)
        wanted[moved] = number + 1
        fetch = session.ask(dict(wanted))
        assert (fetch.named, fetch.forgotten) == ({moved: number + 1}, [])
        answer = broker.fetch(fetch)
        assert answer.served == wanted
        session.answered(answer.error_code, answer.session_id)
    nothing = session.ask(dict(wanted))
    assert (nothing.named, nothing.forgotten) == ({}, [])


def test_a_partition_that_goes_is_forgotten_once_and_named_when_it_comes_back() -> None:
    session = FetchSession()
    both, one = {("t", 0): 5, ("t", 1): 7}, {("t", 0): 5}
    session.ask(both)
    session.answered(0, 9)
    asked = []
    for wanted in (one, one, both):
        fetch = session.ask(wanted)
        session.answered(0, 9)
        asked.append((fetch.named, fetch.forgotten))
    assert asked == [({}, [("t", 1)]), ({}, []), ({("t", 1): 7}, [])]


def test_after_the_last_epoch_comes_the_first() -> None:
    session, broker = FetchSession(), Broker()
    wanted: Partitions = {("t", 0): 0, ("t", 1): 0}
    answer = broker.fetch(session.ask(dict(wanted)))
    session.answered(answer.error_code, answer.session_id)
    session.epoch = LAST_EPOCH - 1
    broker.sessions[answer.session_id] = (LAST_EPOCH - 1, dict(wanted))
    epochs = []
    for offset in range(1, 5):
        wanted[("t", 0)] = offset
        fetch = session.ask(dict(wanted))
        assert fetch.named == {("t", 0): offset}
        answer = broker.fetch(fetch)
        assert answer == Answer(0, session.id, wanted)
        session.answered(answer.error_code, answer.session_id)
        epochs.append(fetch.epoch)
    assert epochs == [LAST_EPOCH - 1, LAST_EPOCH, 1, 2]


def test_a_beginning_ends_the_session_before_unless_the_broker_knows_none() -> None:
    wanted = {("t", 0): 0}
    for error_code, old in ((WRONG_EPOCH, 9), (NOT_FOUND, 0)):
        session = FetchSession()
        session.ask(wanted)
        session.answered(0, 9)
        session.ask(wanted)
        session.answered(error_code, 0)
        assert session.ask(wanted) == Told(old, 0, wanted, ())


OLD_VERSIONS, SESSION_VERSIONS = range(1, 7), range(7, 12)
TWO: Offsets = {TopicPartition("t", 0): 5, TopicPartition("u", 0): 0, TopicPartition("t", 1): 7}
MOVED: Offsets = {TopicPartition("t", 0): 6, TopicPartition("t", 1): 7}
"""Of TWO, one has moved and one has gone."""
LIMITS = FetchLimits(min_bytes=3, max_bytes=1 << 20, partition_bytes=100, isolation_level=0)


class FakeClient:
    """Builds what it is given as a connection to a broker of this version would, and answers it."""

    def __init__(self, version: int = 11) -> None:
        self.version = version
        self.session_id = 9
        self.error_code = 0
        self.written: list[Any] = []
        self.answers: list[Any] = []
        self.fault: BaseException | None = None
        self.hangs: asyncio.Future[None] | None = None

    async def send(self, node_id: int, request: Any) -> Any:
        built = request.prepare({FetchRequest.API_KEY: (self.version, self.version)})
        self.written.append(type(built).decode(built.encode()))
        if self.hangs is not None:
            await self.hangs
        if self.fault is not None:
            raise self.fault
        session = {"error_code": self.error_code, "session_id": 0 if self.error_code else self.session_id}
        self.answers.append(
            built.RESPONSE_TYPE(throttle_time_ms=0, topics=[], **(session if self.version >= 7 else {}))
        )
        return self.answers[-1]


def plain(version: int, wanted: Offsets) -> bytes:
    """A fetch of these partitions as aiokafka's own fetcher has it written."""
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for (topic, number), offset in wanted.items():
        topics.setdefault(topic, []).append((number, offset, 100))
    request = FetchRequest(500, 3, 1 << 20, 0, list(topics.items()), rack_id="")
    built: bytes = request.prepare({FetchRequest.API_KEY: (version, version)}).encode()
    return built


def offsets(written: Any) -> dict[Partition, int]:
    """What a written fetch of any version names."""
    has_epoch = written.API_VERSION >= 9
    found = [
        ((topic, said[0]), said[2 if has_epoch else 1]) for topic, partitions in written.topics for said in partitions
    ]
    assert len(dict(found)) == len(found), "nothing is named twice"
    return dict(found)


def told(written: Any) -> tuple[int, int, dict[Partition, int], list[tuple[str, list[int]]]]:
    return written.session_id, written.session_epoch, offsets(written), written.forgotten_topics_data


ALL = {("t", 0): 5, ("t", 1): 7, ("u", 0): 0}
BEGINNING: tuple[int, int, dict[Partition, int], list[Any]] = (0, 0, ALL, [])


@pytest.mark.parametrize("version", OLD_VERSIONS)
async def test_a_broker_that_knows_no_sessions_gets_every_fetch_whole_as_aiokafka_writes_it(version: int) -> None:
    client = FakeClient(version)
    fetches = SessionFetches(client, LIMITS)
    for wanted in (TWO, MOVED, MOVED):
        assert await fetches.fetch(1, wanted, 500) is client.answers[-1]
    assert [written.encode() for written in client.written] == [
        plain(version, wanted) for wanted in (TWO, MOVED, MOVED)
    ]


@pytest.mark.parametrize("version", SESSION_VERSIONS)
async def test_a_fetch_says_its_session_and_what_has_changed(version: int) -> None:
    client = FakeClient(version)
    fetches = SessionFetches(client, FetchLimits(3, 1 << 20, 100, isolation_level=1))
    for max_wait_ms, wanted in ((500, TWO), (20, MOVED), (500, MOVED)):
        assert await fetches.fetch(1, wanted, max_wait_ms) is client.answers[-1]
    assert [told(written) for written in client.written] == [
        BEGINNING,
        (9, 1, {("t", 0): 6}, [("u", [0])]),
        (9, 2, {}, []),
    ]
    assert [written.max_wait_time for written in client.written] == [500, 20, 500]
    for written in client.written:
        assert (written.replica_id, written.min_bytes, written.max_bytes) == (-1, 3, 1 << 20)
        assert written.isolation_level == 1
        assert all(said[-1] == 100 for _, partitions in written.topics for said in partitions)
        assert version < 11 or written.rack_id == ""


@pytest.mark.parametrize("version", SESSION_VERSIONS)
async def test_a_beginning_is_a_plain_fetch_but_for_its_epoch(version: int) -> None:
    client = FakeClient(version)
    await SessionFetches(client, LIMITS).fetch(1, TWO, 500)
    (written,) = client.written
    assert written.session_epoch == 0
    written.session_epoch = -1
    assert written.encode() == plain(version, TWO)


async def test_all_that_goes_of_a_topic_is_forgotten_in_one_place() -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    for wanted in (TWO, {("u", 0): 0}):
        await fetches.fetch(1, wanted, 500)
    assert told(client.written[1]) == (9, 1, {}, [("t", [0, 1])])


@pytest.mark.parametrize(("error_code", "ends"), [(NOT_FOUND, 0), (WRONG_EPOCH, 9)])
async def test_after_an_answer_of_an_error_the_next_fetch_begins_another_session(error_code: int, ends: int) -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    for client.error_code in (0, error_code, 0):
        await fetches.fetch(1, TWO, 500)
    assert [told(written)[:3] for written in client.written] == [(0, 0, ALL), (9, 1, {}), (ends, 0, ALL)]


@pytest.mark.parametrize("fault", [KafkaConnectionError(), RequestTimedOutError(), asyncio.CancelledError(), OSError()])
async def test_a_fetch_that_fails_says_so_and_the_next_one_begins_another_session(fault: BaseException) -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    await fetches.fetch(1, TWO, 500)
    client.fault = fault
    with pytest.raises(type(fault)):
        await fetches.fetch(1, TWO, 500)
    client.fault = None
    await fetches.fetch(1, TWO, 500)
    await fetches.fetch(1, TWO, 500)
    assert [told(written)[:3] for written in client.written[2:]] == [(9, 0, ALL), (9, 1, {})]


async def test_a_cancelled_fetch_may_be_on_its_way_and_the_next_one_begins_another_session() -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    await fetches.fetch(1, TWO, 500)
    client.hangs = asyncio.get_running_loop().create_future()
    fetching = asyncio.create_task(fetches.fetch(1, MOVED, 500))
    await asyncio.sleep(0)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    client.hangs = None
    await fetches.fetch(1, TWO, 500)
    assert told(client.written[-1]) == (9, 0, ALL, [])


async def test_where_the_broker_offers_no_session_every_fetch_is_a_whole_one() -> None:
    client = FakeClient()
    client.session_id = 0
    fetches = SessionFetches(client, LIMITS)
    for _ in range(3):
        await fetches.fetch(1, TWO, 500)
    assert [told(written) for written in client.written] == [BEGINNING] * 3


async def test_each_broker_has_a_session_of_its_own() -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    for node_id in (1, 2):
        client.session_id = 10 + node_id
        await fetches.fetch(node_id, TWO, 500)
    for node_id in (2, 1):
        client.session_id = 10 + node_id
        await fetches.fetch(node_id, TWO, 500)
    assert [told(written)[:3] for written in client.written] == [(0, 0, ALL), (0, 0, ALL), (12, 1, {}), (11, 1, {})]


async def test_a_broker_that_speaks_an_older_version_for_a_while_is_told_everything_again() -> None:
    client = FakeClient()
    fetches = SessionFetches(client, LIMITS)
    for version in (11, 6, 11):
        client.version = version
        await fetches.fetch(1, TWO, 500)
    assert [offsets(written) for written in client.written] == [ALL] * 3
    assert client.written[-1].session_epoch == 0
