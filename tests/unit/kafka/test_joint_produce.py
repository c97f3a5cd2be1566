"""Produce requests of several writers in one turn: what travels together, and that each hears of its own alone."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.joint_produce import JointProduce
from streams.kafka.record_batch import RecordBatch
from tests.support.requests import until
from tests.unit.delivery.test_outbox import LOST_BEFORE, NOT_LEADER, Brokers

A, B, C = (TopicPartition("t", number) for number in range(3))


def batch(value: bytes) -> bytes:
    written = RecordBatch(1000)
    written.append(b"k", value, [])
    return written.written()


async def test_what_is_sent_in_one_turn_is_one_request_and_each_writer_hears_of_its_own_partitions() -> None:
    brokers = Brokers([0, NOT_LEADER])
    joint = JointProduce(brokers)
    first, second = await asyncio.gather(
        joint.produce(1, {A: batch(b"a")}, 1000), joint.produce(1, {B: batch(b"b")}, 1000)
    )
    assert brokers.requests == [(1, [A, B])]
    assert (list(first), list(second)) == ([], [B])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((2, B, 1000, -1), id="another broker"),
        pytest.param((1, A, 1000, -1), id="the same partition"),
        pytest.param((1, B, 2000, -1), id="another timeout"),
        pytest.param((1, B, 1000, 1), id="other acks"),
    ],
)
async def test_apart_travels_what_differs_in_broker_time_or_acks_and_a_second_batch_of_a_partition(
    other: tuple[int, TopicPartition, int, int],
) -> None:
    brokers = Brokers()
    node, partition, timeout_ms, acks = other
    joint = JointProduce(brokers)
    await asyncio.gather(
        joint.produce(1, {A: batch(b"a")}, 1000), joint.produce(node, {partition: batch(b"b")}, timeout_ms, acks)
    )
    assert sorted(brokers.requests) == sorted([(1, [A]), (node, [partition])])


async def test_a_request_that_is_under_way_takes_no_more() -> None:
    brokers = Brokers()
    brokers.held = asyncio.Event()
    joint = JointProduce(brokers)
    first = asyncio.ensure_future(joint.produce(1, {A: batch(b"a")}, 1000))
    await until(lambda: brokers.requests)
    second = asyncio.ensure_future(joint.produce(1, {B: batch(b"b")}, 1000))
    await asyncio.sleep(0)
    brokers.held.set()
    await asyncio.gather(first, second)
    assert brokers.requests == [(1, [A]), (1, [B])]


async def test_a_request_without_an_answer_fails_all_that_travel_in_it() -> None:
    joint = JointProduce(Brokers([LOST_BEFORE]))
    ended = await asyncio.gather(
        joint.produce(1, {A: batch(b"a")}, 1000), joint.produce(1, {B: batch(b"b")}, 1000), return_exceptions=True
    )
    assert [type(each) for each in ended] == [KafkaConnectionError] * 2


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_writer_that_is_cancelled_leaves_no_other_waiting(*, under_way: bool) -> None:
    """Its batch is not known to be written: whoever has joined tries again, and what comes then is a request of its own."""
    brokers = Brokers()
    brokers.held = asyncio.Event()
    joint = JointProduce(brokers)
    first = asyncio.ensure_future(joint.produce(1, {A: batch(b"a")}, 1000))
    second = asyncio.ensure_future(joint.produce(1, {B: batch(b"b")}, 1000))
    third = asyncio.ensure_future(joint.produce(1, {C: batch(b"c")}, 1000))
    await asyncio.sleep(0)
    await until(lambda: brokers.requests or not under_way)
    third.cancel()
    first.cancel()
    with pytest.raises(KafkaError):
        await second
    brokers.held.set()
    assert await joint.produce(1, {B: batch(b"b")}, 1000) == {}
    assert brokers.requests[-1] == (1, [B])
