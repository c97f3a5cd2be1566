"""Deltas reach the broker in order, are sent again a few times, and are left out rather than waited for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from streams.delivery import delta_lanes
from streams.delivery.delta_lanes import DeltaLanes
from streams.delivery.deltas import DeltaPublisher
from streams.kafka.cluster import Cluster
from tests.support.requests import pending, until
from tests.unit.delivery.test_outbox import LOST_AFTER, LOST_BEFORE, NOT_LEADER, Brokers

TO = TopicPartition("agent.deltas", 3)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_lanes, "_FIRST_PAUSE_S", 0.001)


def lanes_of(brokers: Any, most_bytes: int = 1_000_000) -> DeltaLanes:
    return DeltaLanes(Cluster(brokers), most_bytes)


async def test_what_is_posted_arrives_in_order() -> None:
    brokers = Brokers([NOT_LEADER, LOST_BEFORE])
    lanes = lanes_of(brokers)
    for number in range(10):
        assert lanes.post(TO, b"r", b"[%d]" % number, [])
        if number == 4:
            await until(lambda: brokers.requests)
    await until(lambda: len(brokers.log[TO]) == 10)
    assert brokers.log[TO] == [b"[%d]" % number for number in range(10)]
    await lanes.stop()


async def test_what_may_have_arrived_is_sent_again_before_what_follows() -> None:
    brokers = Brokers([LOST_AFTER])
    lanes = lanes_of(brokers)
    lanes.post(TO, b"r", b"[0]", [])
    await until(lambda: brokers.requests)
    lanes.post(TO, b"r", b"[1]", [])
    await until(lambda: len(brokers.log[TO]) == 3)
    assert brokers.log[TO] == [b"[0]", b"[0]", b"[1]"]
    await lanes.stop()


async def test_what_the_broker_does_not_take_is_left_out_and_what_follows_goes() -> None:
    brokers = Brokers([NOT_LEADER] * 5)
    lanes = lanes_of(brokers)
    lanes.post(TO, b"r", b"[0]", [])
    await until(lambda: len(brokers.requests) == 5)
    lanes.post(TO, b"r", b"[1]", [])
    await until(lambda: brokers.log[TO])
    assert brokers.log[TO] == [b"[1]"]
    await lanes.stop()


async def test_memory_is_bounded_and_comes_back() -> None:
    brokers = Brokers(leaders={})
    lanes = lanes_of(brokers, most_bytes=10_000)
    assert [lanes.post(TO, b"r", b"x" * 3_000, []) for _ in range(5)] == [True, True, True, False, False]
    brokers.leaders = None
    await until(lambda: len(brokers.log[TO]) in (0, 3) and not lanes._held_bytes)
    assert lanes.post(TO, b"r", b"x" * 9_000, [])
    await until(lambda: b"x" * 9_000 in brokers.log[TO])
    await lanes.stop()


async def test_the_leader_alone_is_waited_for() -> None:
    asked: list[int] = []

    class Seen(Brokers):
        async def send(self, node_id: int, request: ProduceRequest) -> Any:
            asked.append(request._required_acks)
            return await super().send(node_id, request)

    lanes = lanes_of(Seen())
    lanes.post(TO, b"r", b"[]", [])
    await until(lambda: asked)
    assert asked == [1]
    await lanes.stop()


async def test_only_chats_that_ask_for_deltas_have_some() -> None:
    class Known(Brokers):
        def partitions_for_topic(self, topic: str) -> set[int]:
            return {0, 1, 2, 3}

    publisher = DeltaPublisher(Cluster(Known()), lambda: 1.0)
    assert publisher.of(pending()) is None
    assert publisher.of(replace(pending(), streams=True)) is not None
    await publisher.stop()
