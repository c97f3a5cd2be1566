"""What answers to OffsetFetch and OffsetCommit say, in the protocol's own structures, from a coordinator played by the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.kafka.group_offsets import Commit, FetchCommits, GroupOffsets, moved
from streams.kafka.records import Position
from topics.broker_errors import BrokerRefusalError

A, B = TopicPartition("t", 0), TopicPartition("u", 1)
NOT_COORDINATOR, LOADING, UNSTABLE, GROUP_AUTHORIZATION = 16, 14, 88, 30


class Coordinator:
    """Answers by its script: bytes of the protocol go there and back; an exception is a lost connection."""

    def __init__(self, answers: Iterable[Any], version: int) -> None:
        self.group_id, self.generation, self.member_id = "g", 7, "m"
        self.answers, self.version = deque(answers), version
        self.asked: list[Any] = []
        self.dead = self.reset = self.rejoins = 0

    async def ensure_coordinator_known(self) -> None: ...

    def coordinator_dead(self) -> None:
        self.dead += 1

    def reset_generation(self) -> None:
        self.reset += 1

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def _send_req(self, request: Any) -> Any:
        struct = request.prepare({request.API_KEY: (self.version, self.version)})
        self.asked.append(type(struct).decode(struct.encode()))
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        made = struct.RESPONSE_TYPE(**answer)
        return type(made).decode(made.encode())


def commits(version: int, *found: tuple[TopicPartition, int, str, int], error: int = 0) -> dict[str, Any]:
    epoch = (4,) if version >= 5 else ()
    topics = [(p.topic, [(p.partition, offset, *epoch, metadata, code)]) for p, offset, metadata, code in found]
    return (
        {"topics": topics}
        | ({"error_code": error} if version >= 2 else {})
        | ({"throttle_time_ms": 0} if version >= 3 else {})
    )


@pytest.mark.parametrize("version", [1, 2, 3, 5])
async def test_committed_positions_come_with_their_metadata_and_epoch(version: int) -> None:
    coordinator = Coordinator([commits(version, (A, 12, "r", 0), (B, -1, "", 0))], version)
    found = await GroupOffsets(coordinator).committed([A, B])
    assert found == {A: Position(12, "r"), B: Position(None)}
    assert found[A].leader_epoch == (4 if version >= 5 else -1)


@pytest.mark.parametrize("version", [2, 3, 5])
@pytest.mark.parametrize("code", [NOT_COORDINATOR, LOADING, -1, 9999])
async def test_an_answer_that_failed_as_a_whole_is_asked_again_and_never_says_that_there_are_no_commits(
    version: int, code: int
) -> None:
    """librdkafka#5586: the answer has the error and no topics."""
    coordinator = Coordinator([commits(version, error=code), commits(version, (A, 12, "", 0))], version)
    assert await GroupOffsets(coordinator).committed([A]) == {A: Position(12)}
    assert coordinator.dead == (code == NOT_COORDINATOR)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(commits(5, (A, -1, "", UNSTABLE)), id="KIP-447: the offset is in a transaction that is under way"),
        pytest.param(
            commits(5, (A, -1, "", 3)), id="Kafka protocol guide: UNKNOWN_TOPIC_OR_PARTITION of one partition"
        ),
        pytest.param(commits(5), id="a partition that was asked for is not in the answer"),
        pytest.param(KafkaConnectionError("gone"), id="dpkp/kafka-python#2629: the request fails on its way"),
    ],
)
async def test_what_says_nothing_of_a_partition_is_asked_again(first: Any) -> None:
    coordinator = Coordinator([first, commits(5, (A, 12, "", 0))], 5)
    assert await GroupOffsets(coordinator).committed([A]) == {A: Position(12)}


async def test_a_group_that_may_not_be_read_is_told() -> None:
    coordinator = Coordinator([commits(5, error=GROUP_AUTHORIZATION)], 5)
    with pytest.raises(BrokerRefusalError, match="GROUP_AUTHORIZATION_FAILED"):
        await GroupOffsets(coordinator).committed([A])


async def test_nothing_is_asked_about_no_partitions() -> None:
    assert await GroupOffsets(Coordinator([], 5)).committed([]) == {}


def committed(*codes: tuple[TopicPartition, int], version: int = 6) -> dict[str, Any]:
    topics = [(p.topic, [(p.partition, code)]) for p, code in codes]
    return {"topics": topics} | ({"throttle_time_ms": 0} if version >= 3 else {})


POSITIONS = {A: Position(12, "r", 4), B: Position(3)}


@pytest.mark.parametrize("version", [2, 3, 6])
async def test_a_refused_partition_does_not_hide_what_became_of_the_others(version: int) -> None:
    coordinator = Coordinator([committed((A, 12), (B, 0), version=version)], version)
    assert await GroupOffsets(coordinator).commit(POSITIONS) == {A: 12}
    assert (coordinator.dead, coordinator.reset, coordinator.rejoins) == (0, 0, 0)
    epochs = [partition[2] for _, partitions in coordinator.asked[0].topics for partition in partitions]
    assert epochs == ([4, -1] if version == 6 else ["r", ""])


@pytest.mark.parametrize(
    ("code", "dead", "reset", "rejoins"),
    [
        (16, 1, 0, 0),
        (15, 1, 0, 0),
        (22, 0, 1, 0),
        (25, 0, 1, 0),
        (27, 0, 0, 1),
        (14, 0, 0, 0),
        (3, 0, 0, 0),
        (29, 0, 0, 0),
    ],
)
async def test_what_a_refusal_of_a_commit_leads_to(code: int, dead: int, reset: int, rejoins: int) -> None:
    coordinator = Coordinator([committed((A, code), (B, code))], 6)
    refused = await GroupOffsets(coordinator).commit(POSITIONS)
    assert refused == {A: code, B: code}
    assert (coordinator.dead, coordinator.reset, coordinator.rejoins) == (dead, reset, rejoins)
    assert moved(refused.values()) == bool(reset or rejoins)


async def test_a_partition_that_the_answer_leaves_out_is_not_committed() -> None:
    assert await GroupOffsets(Coordinator([committed((A, 0))], 6)).commit(POSITIONS) == {B: -1}


def test_an_ordinary_broker_is_asked_with_the_newest_versions_that_are_known() -> None:
    assert FetchCommits("g", [A]).prepare({9: (1, 9)}).API_VERSION == 5
    assert Commit("g", 1, "m", POSITIONS).prepare({8: (2, 9)}).API_VERSION == 6
