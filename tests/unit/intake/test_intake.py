"""Intake: every record of a list goes one way, and only one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
from hypothesis import given
from hypothesis import strategies as st

from streams.intake.decode import Decoder
from streams.intake.intake import Intake
from streams.pipeline import Outcome, PendingRequest, Rejected, Source
from streams.transport.offsets import Origin, PartitionOffsets, Position, Record, RecordList
from tests.support.requests import SampleRecord, until
from topics.names import RESPONSES, TOPIC_OF

NOW = 1010.0
KNOWN, UNKNOWN, LOOKED_UP = "agent.responses.known", "agent.responses.unknown", "agent.responses.looked-up"


class Ends:
    """The three ways out of intake."""

    def __init__(self) -> None:
        self.accepted: list[PendingRequest] = []
        self.responses: list[tuple[PendingRequest, Outcome]] = []
        self.rejected: list[tuple[int, Rejected]] = []

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        self.accepted.extend(requests)

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.responses.append((request, outcome))

    def abandon(self, request: PendingRequest) -> None:
        raise AssertionError("intake has nothing to abandon")

    def reject(self, record: Record, origin: Origin, source: Source, index: int, refused: Rejected) -> None:
        self.rejected.append((index, refused))

    def indexes(self) -> list[int]:
        return sorted(
            [request.index for request in self.accepted]
            + [request.index for request, _ in self.responses]
            + [index for index, _ in self.rejected]
        )


class ReplyTopics:
    """One topic is known at once, one after a look-up that the test lets end."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.asked: list[str] = []

    def is_known(self, topic: str) -> bool | None:
        return {KNOWN: True, LOOKED_UP: None}.get(topic, False)

    async def look_up(self, topic: str) -> bool:
        self.asked.append(topic)
        await self.answer.wait()
        return True


class Listener:
    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None: ...

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None: ...


def record_list(records: Sequence[SampleRecord]) -> RecordList:
    for offset, record in enumerate(records):
        record.offset = offset
    made = PartitionOffsets((TOPIC_OF["normal"], 0), Position(0), Listener()).deliver(records, len(records))
    assert made is not None
    return made


def intake(ends: Ends, reply_topics: ReplyTopics, now: float = NOW) -> Intake:
    decoder = Decoder(1_000_000, {"high": 10.0, "normal": 30.0, "low": 60.0})
    return Intake(decoder, ends, ends, ends, reply_topics, now=lambda: now)


def sample(*, reply_to: str | None = None, timeout_s: float | None = None) -> SampleRecord:
    payload = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    value = {"agent_id": "a", "payload": payload} | ({} if timeout_s is None else {"timeout_s": timeout_s})
    return SampleRecord(orjson.dumps(value), headers=[] if reply_to is None else [("reply_to", reply_to.encode())])


async def test_valid_requests_are_passed_on_together_in_their_order() -> None:
    ends = Ends()
    intake(ends, ReplyTopics()).accept([record_list([sample() for _ in range(5)])])
    assert [request.index for request in ends.accepted] == [0, 1, 2, 3, 4]
    assert (ends.responses, ends.rejected) == ([], [])


async def test_what_is_out_of_time_is_answered_expired_and_goes_no_further() -> None:
    ends = Ends()
    intake(ends, ReplyTopics()).accept([record_list([sample(timeout_s=10.0), sample(timeout_s=10.001)])])
    ((late, outcome),) = ends.responses
    assert (late.index, outcome.status) == (0, "expired")
    assert outcome.error is not None
    assert outcome.error.type == "deadline"
    assert [request.index for request in ends.accepted] == [1]


async def test_a_poison_record_is_rejected_and_its_neighbours_are_not() -> None:
    ends = Ends()
    intake(ends, ReplyTopics()).accept([record_list([sample(), SampleRecord(b"\xff"), sample()])])
    assert [index for index, _ in ends.rejected] == [1]
    assert [request.index for request in ends.accepted] == [0, 2]


async def test_a_known_reply_topic_is_used_at_once() -> None:
    ends = Ends()
    intake(ends, ReplyTopics()).accept([record_list([sample(reply_to=KNOWN)])])
    assert [request.reply_topic for request in ends.accepted] == [KNOWN]


async def test_an_unknown_or_illegal_reply_topic_is_answered_on_the_usual_one() -> None:
    ends = Ends()
    hostile = [
        UNKNOWN,
        "agent.requests.high",
        "../../etc",
        "agent.responses.\x00",
        "x" * 5000,
        "\U0001f600" * 300,
        "\U000e0001" * 300,
    ]
    intake(ends, ReplyTopics()).accept([record_list([sample(reply_to=name) for name in hostile])])
    assert ends.accepted == []
    assert [request.index for request, _ in ends.responses] == list(range(len(hostile)))
    for request, outcome in ends.responses:
        assert request.reply_topic == RESPONSES
        assert outcome.error is not None
        assert outcome.error.type == "invalid_reply_to"
        assert len(outcome.error.message) <= 1024


async def test_an_empty_reply_to_means_the_usual_topic() -> None:
    ends = Ends()
    intake(ends, ReplyTopics()).accept([record_list([sample(reply_to="")])])
    assert [request.reply_topic for request in ends.accepted] == [RESPONSES]


async def test_a_reply_topic_that_has_to_be_looked_up_holds_up_nobody_else() -> None:
    ends, topics = Ends(), ReplyTopics()
    intake(ends, topics).accept([record_list([sample(reply_to=LOOKED_UP), sample()])])
    await asyncio.sleep(0)
    assert (topics.asked, [request.index for request in ends.accepted]) == ([LOOKED_UP], [1])
    topics.answer.set()
    await until(lambda: len(ends.accepted) == 2)
    assert ends.accepted[1].reply_topic == LOOKED_UP


async def test_a_request_whose_time_passes_during_the_look_up_expires() -> None:
    ends, topics = Ends(), ReplyTopics()
    late = intake(ends, topics, now=NOW)
    late.accept([record_list([sample(reply_to=LOOKED_UP, timeout_s=10.0)])])
    topics.answer.set()
    await until(lambda: ends.responses)
    assert ends.responses[0][1].status == "expired"
    assert ends.accepted == []


async def test_a_list_that_was_taken_back_is_left_alone() -> None:
    ends = Ends()
    taken = record_list([sample()])
    taken.take_back()
    intake(ends, ReplyTopics()).accept([taken])
    assert ends.indexes() == []


KINDS = st.sampled_from(["valid", "late", "poison", "tombstone", "known", "unknown", "looked up", "illegal"])


def of_kind(kind: str) -> SampleRecord:
    match kind:
        case "late":
            return sample(timeout_s=1.0)
        case "poison":
            return SampleRecord(b"{", key=b"k")
        case "tombstone":
            return SampleRecord(None, key=b"k")
        case "known":
            return sample(reply_to=KNOWN)
        case "unknown":
            return sample(reply_to=UNKNOWN)
        case "looked up":
            return sample(reply_to=LOOKED_UP)
        case "illegal":
            return sample(reply_to="?")
    return sample()


@given(st.lists(KINDS, min_size=1, max_size=30))
def test_every_record_of_a_list_ends_one_way_and_only_one(kinds: list[str]) -> None:
    async def run() -> Ends:
        ends, topics = Ends(), ReplyTopics()
        intake(ends, topics).accept([record_list([of_kind(kind) for kind in kinds])])
        topics.answer.set()
        await until(lambda: len(ends.indexes()) == len(kinds))
        return ends

    ends = asyncio.run(run())
    assert ends.indexes() == list(range(len(kinds)))
    ways = {index: "rejected" for index, _ in ends.rejected}
    ways |= {request.index: "accepted" for request in ends.accepted}
    ways |= {request.index: outcome.error.type if outcome.error else "" for request, outcome in ends.responses}
    wanted = {
        "valid": "accepted", "late": "deadline", "poison": "rejected", "tombstone": "rejected", "known": "accepted",
        "unknown": "invalid_reply_to", "looked up": "accepted", "illegal": "invalid_reply_to",
    }  # fmt: skip
    assert [ways[index] for index in range(len(kinds))] == [wanted[kind] for kind in kinds]


async def test_a_rejected_request_is_answered_on_its_own_reply_topic_where_answers_may_go_there() -> None:
    ends, topics = Ends(), ReplyTopics()
    intake = Intake(Decoder(10_000, {"high": 10.0, "normal": 30.0, "low": 60.0}), ends, ends, ends, topics, lambda: NOW)
    wrong = orjson.dumps({"agent_id": "a", "payload": 5})
    records = [
        SampleRecord(wrong, headers=[("reply_to", topic.encode())]) for topic in (KNOWN, UNKNOWN, LOOKED_UP, "\x00")
    ]
    intake.accept([record_list([*records, SampleRecord(wrong)])])
    assert {index: refused.reply_topic for index, refused in ends.rejected} == {
        0: KNOWN, 1: None, 3: None, 4: None,
    }  # fmt: skip
    topics.answer.set()
    await until(lambda: len(ends.rejected) == 5)
    assert ends.rejected[-1][0] == 2
    assert ends.rejected[-1][1].reply_topic == LOOKED_UP


async def test_heavy_values_are_decoded_one_by_one_behind_the_others_of_their_list() -> None:
    ends, topics = Ends(), ReplyTopics()
    intake = Intake(
        Decoder(1_000_000, {"high": 10.0, "normal": 30.0, "low": 60.0}), ends, ends, ends, topics, lambda: NOW
    )
    payload = {"model": "m", "messages": [{}] * 3_000}
    heavy = SampleRecord(orjson.dumps({"agent_id": "big", "payload": payload}))
    light = SampleRecord(orjson.dumps({"agent_id": "a", "payload": {"model": "m", "messages": [{}]}}))
    intake.accept([record_list([heavy, light, heavy, light])])
    assert [request.agent_id for request in ends.accepted] == ["a", "a"]
    await until(lambda: len(ends.accepted) == 4)
    assert sorted(request.index for request in ends.accepted) == [0, 1, 2, 3]
    assert all(request.decode_s > 0 for request in ends.accepted[2:])
    assert all(request.decode_s == 0 for request in ends.accepted[:2])
