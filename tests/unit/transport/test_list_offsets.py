"""Answers to ListOffsets: every error is one, and nothing that was not told is made up."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from streams.transport import list_offsets
from streams.transport.list_offsets import _until_answered, read_offsets
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
