"""Loops that break once, one after the other: each says so, is counted, and goes on; what it had in hand has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import structlog
from aiokafka.structs import TopicPartition

from ops.processes.supervisor.keeper import Keeper
from ops.processes.supervisor.roster import Pauses, Roster
from streams import supervise
from streams.limits.topic import LeaseTopic
from streams.scaling.tail import ScalingTail
from streams.supervise import end, supervised
from tests.support.requests import SampleRecord, until
from tests.unit.cache.test_publisher import EXPIRES_AT, publisher_to
from tests.unit.delivery.test_outbox import Brokers
from tests.unit.intake.test_intake import Ends, ReplyTopics, intake, record_list
from tests.unit.test_supervise import Once, faults


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.001)


async def says_so(loop: str, act: Callable[[], Awaitable[None]]) -> None:
    """It is logged with its stack, and counted, while `act` runs, within a second of it."""
    before = faults(loop)
    with structlog.testing.capture_logs() as lines:
        await act()
        async with asyncio.timeout(30):
            await until(lambda: faults(loop) == before + 1)
    assert any(line.get("loop") == loop and line.get("exc_info") for line in lines), lines


async def test_a_publisher_that_breaks_gives_up_what_was_leaving_and_shares_what_comes_later() -> None:
    publisher = publisher_to(Brokers())
    publisher._produce = Once(publisher._produce)  # type: ignore[method-assign]

    async def act() -> None:
        publisher.publish(b"lost", b"value", EXPIRES_AT)
        await until(lambda: publisher.counts.failed == 1)

    await says_so("cache_publisher", act)
    publisher.publish(b"later", b"value", EXPIRES_AT)
    await until(lambda: publisher.counts.published == 1)
    assert publisher.pending_bytes == 0
    await publisher.stop()


async def test_leases_whose_demands_break_tell_them_later() -> None:
    asked = asyncio.Event()

    def due() -> tuple[list[Any], float]:
        asked.set()
        return [], inf

    shared = SimpleNamespace(worker_id="w", wake=None, due=Once(due), clock=SimpleNamespace(running=lambda: 0.0))
    topic = LeaseTopic(shared, None, {}, name="limits.leases", group_id="g", session_timeout_s=1)  # type: ignore[arg-type]
    loops: list[asyncio.Task[None]] = []

    async def act() -> None:
        loops.append(supervised("leases", partial(topic._for_good, topic._send_demands)))
        await asked.wait()

    try:
        await says_so("leases", act)
    finally:
        await end(loops)


class Log:
    """A consumer of one partition with one record, which is there again after a seek."""

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.at = 0
        self.sought: list[int] = []

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append(offset)
        self.at = offset

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        if self.at:
            return {}
        self.at = 1
        return {self.partition: [SimpleNamespace(key=b"fleet", value=b"{}", offset=0)]}

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def stop(self) -> None: ...


async def test_a_tail_that_breaks_reads_again_what_it_had_not_noted() -> None:
    tail = ScalingTail({"bootstrap_servers": "127.0.0.1:1"})
    log = Log(tail._decisions)
    tail._consumer, tail._positions = log, {tail._decisions: 0}
    noted: list[Any] = []
    tail._note_decision = Once(noted.append)  # type: ignore[method-assign]
    loops: list[asyncio.Task[None]] = []

    async def act() -> None:
        loops.append(supervised("scaling_tail", tail._follow))
        await until(lambda: len(noted) == 1)

    try:
        await says_so("scaling_tail", act)
    finally:
        await end(loops)
    assert log.sought == [0, 0]


async def test_a_keeper_that_breaks_goes_on_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(
        "worker", Roster(Pauses()), settings_file=None, env={}, log_dir=tmp_path, ready_within_s=1, drain_s=1
    )
    looks = Once(Roster.to_start)
    monkeypatch.setattr(Roster, "to_start", lambda roster, now: looks(roster, now))

    async def act() -> None:
        await keeper.__aenter__()
        await until(lambda: looks.calls >= 2)

    try:
        await says_so("keeper", act)
    finally:
        await keeper.__aexit__()


async def test_a_heavy_record_that_breaks_is_answered_and_the_next_one_is_read() -> None:
    ends = Ends()
    stage = intake(ends, ReplyTopics())
    ends.accept = Once(ends.accept)  # type: ignore[method-assign]
    payload = {"model": "m", "messages": [{"role": "user", "content": [[] for _ in range(2000)]}]}
    heavy = [SampleRecord(orjson.dumps({"agent_id": "a", "payload": payload})) for _ in range(2)]

    async def act() -> None:
        stage.accept([record_list(heavy)])
        await until(lambda: len(ends.indexes()) == 2)

    await says_so("heavy_records", act)
    assert [refused.error_type for _, refused in ends.rejected] == ["internal"]
    assert [request.index for request in ends.accepted] == [1]
