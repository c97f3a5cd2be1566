"""What a worker finds on the log of a stream that another one had: all of it, nothing of anybody else's, and never for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from ops.brokers import Broker
from schemas.delta import encode_delta
from streams.delivery import delta_history
from streams.delivery.delta_history import DeltaHistory
from streams.kept import Kept, Upstream
from tests.support.stopwatch import Stopwatch
from tests.unit.test_kept import chunk
from topics.headers import delta_headers

UPSTREAM = Upstream("sim", 0, "small", "resp_1")


@dataclass
class Log:
    """One partition of deltas, and who reads its history."""

    to: TopicPartition
    producer: AIOKafkaProducer
    history: DeltaHistory

    async def tell(self, request_id: str, seq: int, text: str, event_id: bytes = b"requests:0:1") -> float:
        """When the broker has it, by its own time in Unix seconds."""
        headers = delta_headers(
            event_id, request_id, 1, seq, restart=False, upstream=UPSTREAM.encode() if seq == 0 else None
        )
        told = await self.producer.send_and_wait(
            self.to.topic, encode_delta([chunk(text)]), request_id.encode(), self.to.partition, headers=headers
        )
        return float(told.timestamp) / 1000

    async def kept(
        self, request_id: str, event_id: bytes = b"requests:0:1", since_s: float | None = None
    ) -> Kept | None:
        since_s = time.time() - 60 if since_s is None else since_s
        return await self.history.of(self.to, request_id.encode(), event_id, since_s)


@asynccontextmanager
async def a_log(broker: Broker, name: str) -> AsyncIterator[Log]:
    options = {"bootstrap_servers": broker.bootstrap_servers}
    admin = AIOKafkaAdminClient(**options)
    history = DeltaHistory(options)
    async with AIOKafkaProducer(**options, acks="all") as producer:
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, 2, 1)])
            yield Log(TopicPartition(name, 1), producer, history)
        finally:
            await history.stop()
            await admin.close()


def text_of(kept: Kept | None) -> str | None:
    return None if kept is None else kept.text


async def test_all_that_was_told_of_a_request_is_found_and_nothing_of_others(broker: Broker) -> None:
    async with a_log(broker, "history.found") as log:
        await log.tell("mine", 0, "one")
        await log.tell("yours", 0, "somebody else's")
        await log.tell("mine", 0, "forged", event_id=b"requests:0:2")
        await log.tell("mine", 1, " two")
        found = await log.kept("mine")
        assert (text_of(found), found and found.upstream) == ("one two", UPSTREAM)
        assert await log.kept("nobody's") is None
        assert await log.kept("mine", event_id=b"requests:0:3") is None


async def test_who_asks_together_is_answered_each_with_its_own(broker: Broker) -> None:
    async with a_log(broker, "history.together") as log:
        for number in range(20):
            await log.tell(f"r{number}", 0, f"answer {number}")
        found = await asyncio.gather(*(log.kept(f"r{number}") for number in range(20)))
        assert [text_of(kept) for kept in found] == [f"answer {number}" for number in range(20)]


async def test_it_is_read_from_the_moment_of_the_request_on(broker: Broker) -> None:
    async with a_log(broker, "history.since") as log:
        told_at = await log.tell("r", 0, "one")
        assert text_of(await log.kept("r", since_s=told_at + 1.5)) == "one", "clocks may be two seconds apart"
        assert await log.kept("r", since_s=time.time() + 60) is None
        await log.tell("r", 1, " two")
        assert text_of(await log.kept("r")) == "one two", "it is asked again, and reads again"


async def test_a_log_that_cannot_be_read_holds_nobody_up_for_long(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_history, "_WITHIN_S", 1.0)
    history = DeltaHistory({"bootstrap_servers": broker.bootstrap_servers})
    watch = Stopwatch()
    try:
        nowhere = TopicPartition("history.there-is-no-such-topic", 0)
        assert await history.of(nowhere, b"r", b"requests:0:1", time.time()) is None
    finally:
        await history.stop()
    assert watch.running_s < 20


async def test_a_fault_of_its_own_lets_who_asks_go_on_without(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    class FaultyError(Exception): ...

    def faulty(**_: object) -> None:
        raise FaultyError

    async with a_log(broker, "history.fault") as log:
        await log.tell("r", 0, "one")
        with monkeypatch.context() as patched:
            patched.setattr(delta_history, "make_consumer", faulty)
            async with asyncio.timeout(60):
                assert await log.kept("r") is None
        assert text_of(await log.kept("r")) == "one"
