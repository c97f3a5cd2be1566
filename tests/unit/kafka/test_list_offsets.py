"""Answers to ListOffsets: every error is one, and nothing that was not told is made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from streams.kafka import list_offsets
from streams.kafka.list_offsets import _until_answered, read_offsets
from topics.broker_errors import BrokerRefusalError

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
VERSIONS = [struct.API_VERSION for struct in OffsetRequest._CLASSES]


def answer(version: int, *found: tuple[int, int, int]) -> Any:
    """Of partition, error code and offset; the bytes of the protocol go there and back."""
    struct = next(each for each in OffsetRequest._CLASSES if version == each.API_VERSION)
    rows = [(number, code, [offset]) if version == 0 else (number, code, -1, offset) for number, code, offset in found]
    fields: dict[str, Any] = {"topics": [("t", rows)]}
    if version >= 2:
        fields["throttle_time_ms"] = 0
    made = struct.RESPONSE_TYPE(**fields)
    return type(made).decode(made.encode())


@pytest.mark.parametrize("version", VERSIONS)
def test_offsets_are_those_that_were_told(version: int) -> None:
    assert read_offsets(answer(version, (0, 0, 7), (1, 0, 0)), [A, B]) == {A: 7, B: 0}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", [3, 5, 6, 9, 29, 43, 56, 74, 75, 78, 103, 999])
def test_any_error_is_an_error_of_the_whole(version: int, code: int) -> None:
    with pytest.raises(BrokerRefusalError) as caught:
        read_offsets(answer(version, (0, 0, 7), (1, code, -1)), [A, B])
    assert caught.value.code == code


def test_a_partition_of_which_nothing_is_told_has_no_offset() -> None:
    with pytest.raises(BrokerRefusalError, match="no offset was told of t:1"):
        read_offsets(answer(2, (0, 0, 7)), [A, B])


class Client:
    def __init__(self) -> None:
        self.looked = 0

    async def force_metadata_update(self) -> None:
        self.looked += 1


async def asked(*codes: int) -> tuple[int, int]:
    """What comes of an answer with each of these errors in turn, then 7: the calls, and the looks for another broker."""
    left, client, calls = list(codes), Client(), 0

    async def ask() -> int:
        nonlocal calls
        calls += 1
        if left:
            raise BrokerRefusalError(left.pop(0))
        return 7

    assert await _until_answered(client, ask) == 7
    return calls, client.looked


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_offsets, "_RETRY_S", 0.001)


async def test_what_passes_is_asked_again_and_elsewhere_where_that_helps() -> None:
    """librdkafka#5586 in kind: NOT_COORDINATOR; COORDINATOR_LOAD_IN_PROGRESS; OFFSET_NOT_AVAILABLE after an election."""
    assert await asked(16, 14, 78, 6) == (5, 2)


@pytest.mark.parametrize("code", [29, 30, 35])
async def test_what_does_not_pass_is_raised_at_once(code: int) -> None:
    with pytest.raises(BrokerRefusalError):
        await asked(code)


async def test_what_never_passes_ends_with_the_last_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_offsets, "WITHIN_S", 0.05)
    with pytest.raises(KafkaTimeoutError, match="COORDINATOR_LOAD_IN_PROGRESS"):
        await asked(*[14] * 10_000)


class NewClient(Client):
    """Knows, after a look at the cluster, of the topics that it was told of before; its partitions end at 7."""

    def __init__(self) -> None:
        super().__init__()
        self.added: set[str] = set()
        self.known: set[str] = set()
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda partition: 1 if partition.topic in self.known else None
        )
        self.add_topic = self.added.add

    async def force_metadata_update(self) -> None:
        await super().force_metadata_update()
        self.known |= self.added

    async def send(self, _node: int, request: OffsetRequest) -> Any:
        rows = [(topic, [(number, 0, -1, 7) for number, _ in places]) for topic, places in request._topics]
        return OffsetRequest._CLASSES[2].RESPONSE_TYPE(throttle_time_ms=0, topics=rows)


async def test_however_many_topics_are_new_to_a_client_it_looks_once_at_the_cluster() -> None:
    """With a look each, the ends of the contract's topics took two seconds."""
    consumer: Any = SimpleNamespace(_client=NewClient(), _isolation_level="read_uncommitted")
    places = [TopicPartition(f"t-{number}", place) for number in range(20) for place in range(2)]
    assert await list_offsets.end_offsets(consumer, places) == dict.fromkeys(places, 7)
    assert consumer._client.looked == 1
