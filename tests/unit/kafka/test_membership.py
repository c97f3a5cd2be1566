"""What a member makes of the group's answers, with a coordinator played by the test."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from structlog.testing import capture_logs

from streams.heartbeat import Heartbeat
from streams.kafka import membership as module
from streams.kafka.membership import GroupRefusedError, Membership
from streams.kafka.returning import OwnersReturn, wait_s
from tests.support.requests import until


class Coordinator:
    """aiokafka's coordinator as far as it is looked at."""

    def __init__(self) -> None:
        self.group_id, self.generation, self.member_id = "g", 3, "m-1"
        self._session_timeout_ms = 6_000
        self._pending_exception: Exception | None = None
        self._coordination_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.rejoins = 0
        self.beats = True
        self.drops = False

    async def _do_heartbeat(self) -> bool:
        if self.drops:
            self.member_id = ""
            return False
        return self.beats

    async def _send_req(self, request: Any) -> Any:
        return SimpleNamespace(error_code=request)

    def check_errors(self) -> None:
        if self._coordination_task.done():
            self._coordination_task.result()
        error, self._pending_exception = self._pending_exception, None
        if error is not None:
            raise error

    def request_rejoin(self) -> None:
        self.rejoins += 1


@pytest.fixture
async def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
async def member(coordinator: Coordinator) -> Membership:
    return Membership(SimpleNamespace(_coordinator=coordinator), Heartbeat(6.0))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_S", "_FIRST_RETRY_S", "_LAST_RETRY_S"):
        monkeypatch.setattr(module, name, 0.001)


async def test_a_member_that_is_dropped_after_a_silence_is_expelled_and_keeps_its_coordinator(
    coordinator: Coordinator, member: Membership
) -> None:
    """egeria#5066 in kind: the coordinator that says so is not dead; to look for another one makes this member come last."""
    assert await coordinator._do_heartbeat()
    assert member.heartbeat.last_at is not None
    member.heartbeat.last_at -= 7
    coordinator.drops = True
    assert await coordinator._do_heartbeat(), "else aiokafka looks for another coordinator"
    assert member.expelled
    assert time.monotonic() - member.heartbeat.last_at > 6
    member.joined()
    assert not member.expelled


async def test_one_that_was_heard_a_moment_ago_is_not_expelled_and_a_lost_heartbeat_is_no_answer(
    coordinator: Coordinator, member: Membership
) -> None:
    assert await coordinator._do_heartbeat()
    coordinator.beats = False
    heard_at = member.heartbeat.last_at
    assert not await coordinator._do_heartbeat()
    assert (member.expelled, member.heartbeat.last_at) == (False, heard_at)


async def test_a_refusal_that_lasts_ends_the_start_with_one_line(
    coordinator: Coordinator, member: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_PATIENCE_S", 0.02)

    async def refuse() -> None:
        while True:
            coordinator._pending_exception = GroupAuthorizationFailedError("g")
            await asyncio.sleep(0)

    refusing = asyncio.create_task(refuse())
    with capture_logs() as logs, pytest.raises(GroupRefusedError, match="its user needs Read on that group"):
        await asyncio.wait_for(member.watch(), 60)
    refusing.cancel()
    assert [each["times"] for each in logs] == [1]
    assert coordinator.rejoins >= 1


async def test_a_refusal_later_is_waited_out(coordinator: Coordinator, member: Membership) -> None:
    member.joined()
    coordinator._pending_exception = GroupAuthorizationFailedError("g")
    watching = asyncio.create_task(member.watch())
    await until(lambda: coordinator.rejoins > 0)
    assert not watching.done()
    with capture_logs() as logs:
        member.joined()
    assert [each["event"] for each in logs] == ["the group takes this process again"]
    watching.cancel()


async def test_the_end_of_the_clients_coordination_ends_the_watch(coordinator: Coordinator, member: Membership) -> None:
    coordinator._coordination_task.set_exception(KafkaError("broken"))
    with pytest.raises(KafkaError, match="broken"):
        await asyncio.wait_for(member.watch(), 60)


@pytest.mark.parametrize(
    ("code", "words"), [(81, "raise group.max.size"), (23, "members of another kind"), (200, "code 200")]
)
async def test_a_code_that_the_client_does_not_know_is_named(
    coordinator: Coordinator, member: Membership, code: int, words: str
) -> None:
    await coordinator._send_req(code)
    assert words in member._line(KafkaError("unexpected"))


A, B, C = ("t", 0), ("t", 1), ("t", 2)


class Held:
    def __init__(self) -> None:
        self.held: set[Any] = set()
        self.owners = OwnersReturn(lambda each, _: self.held.add(each), lambda each, _: self.held.discard(each))


async def test_what_was_gained_is_held_until_its_time_is_over() -> None:
    rig = Held()
    rig.owners.begin([A, B], 0.02)
    assert rig.held == rig.owners.partitions == {A, B}
    await until(lambda: not rig.held)
    assert rig.owners.partitions == frozenset()


async def test_what_its_owner_has_again_is_let_go_and_the_rest_is_held() -> None:
    rig = Held()
    rig.owners.begin([A, B], 60)
    rig.owners.keep([B, C])
    assert rig.held == rig.owners.partitions == {B}
    rig.owners.begin([C], 60)
    assert rig.held == {B, C}


def test_an_owner_has_three_heartbeats_and_at_most_five_seconds() -> None:
    assert (wait_s(1.0), wait_s(0.5), wait_s(600)) == (3.0, 1.5, 5.0)
