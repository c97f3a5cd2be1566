"""Entries on their way: what is sent again, what is given up, and that they leave before the answers that they are of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.cache import publisher as publisher_module
from streams.cache.publisher import EntryPublisher
from streams.delivery.batch import Message
from streams.delivery.outbox import Outbox
from streams.kafka.cluster import Cluster
from tests.support.requests import SampleSource, until
from tests.unit.delivery.test_outbox import LOST_BEFORE, NOT_ALLOWED, NOT_LEADER, Brokers, Fate

EXPIRES_AT = 2_000_000_000.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "_RETRY_S", 0.001)


def publisher_to(brokers: Any, **options: Any) -> EntryPublisher:
    brokers.partitions_for_topic = lambda topic: {0, 1, 2}
    return EntryPublisher(Cluster(brokers), b"/me", "entries", **options)


def numbered(count: int) -> list[bytes]:
    return [b"%04d" % number for number in range(count)]


async def test_what_is_published_in_one_turn_is_one_request_a_broker() -> None:
    brokers = Brokers()
    publisher = publisher_to(brokers)
    for key in numbered(300):
        publisher.publish(key, b"value of " + key, EXPIRES_AT)
    await until(lambda: publisher.counts.published == 300)
    assert sorted(value for log in brokers.log.values() for value in log) == [
        b"value of " + key for key in numbered(300)
    ]
    assert sorted(node for node, _ in brokers.requests) == [1, 2]
    assert publisher.pending_bytes == 0


@pytest.mark.parametrize("fates", [[NOT_LEADER], [NOT_LEADER] * 9, [LOST_BEFORE, NOT_LEADER]])
async def test_a_failure_that_passes_costs_no_entry_and_looks_for_the_leader(fates: list[Fate]) -> None:
    brokers = Brokers(fates)
    publisher = publisher_to(brokers)
    publisher.publish(b"key", b"value", EXPIRES_AT)
    await until(lambda: publisher.counts.published == 1)
    assert (publisher.counts.failed, brokers.looked_up, len(brokers.requests)) == (0, len(fates), len(fates) + 1)


@pytest.mark.parametrize(("fates", "attempts"), [([NOT_ALLOWED], 1), ([NOT_LEADER] * 10, 10)])
async def test_what_the_broker_does_not_take_is_counted_and_dropped_and_the_next_one_is_shared(
    fates: list[Fate], attempts: int
) -> None:
    brokers = Brokers(fates)
    publisher = publisher_to(brokers)
    publisher.publish(b"key", b"value", EXPIRES_AT)
    await until(lambda: publisher.counts.failed == 1)
    assert (len(brokers.requests), publisher.pending_bytes) == (attempts, 0)
    publisher.publish(b"key", b"next", EXPIRES_AT)
    await until(lambda: publisher.counts.published == 1)


async def test_a_partition_without_a_leader_costs_only_its_own_entries() -> None:
    brokers = Brokers(leaders={TopicPartition("entries", 0): 1, TopicPartition("entries", 1): -1})
    publisher = publisher_to(brokers)
    for key in numbered(100):
        publisher.publish(key, b"value", EXPIRES_AT)
    await until(lambda: publisher.counts.published + publisher.counts.failed == 100)
    assert publisher.counts.published == len(brokers.log[TopicPartition("entries", 0)]) > 0
    assert publisher.counts.failed > 0


async def test_while_the_broker_is_behind_what_does_not_fit_is_dropped() -> None:
    brokers = Brokers()
    brokers.held = asyncio.Event()
    publisher = publisher_to(brokers, buffer_bytes=1_000)
    for key in numbered(100):
        publisher.publish(key, b"x" * 96, EXPIRES_AT)
    assert publisher.counts.dropped == 90
    brokers.held.set()
    await until(lambda: publisher.counts.published == 10)


@pytest.mark.parametrize("timeout_s", [30, 1])
async def test_an_entry_is_written_with_the_answer_that_is_posted_after_it_or_before(timeout_s: int) -> None:
    """Who has the answer and asks again at once, of another worker, should find the entry."""
    leaders: dict[TopicPartition, int | None] = {TopicPartition("entries", number): 1 for number in range(3)}
    brokers, source = Brokers(leaders={**leaders, TopicPartition("t", 0): 1}), SampleSource()
    brokers.partitions_for_topic = lambda topic: {0, 1, 2}  # type: ignore[attr-defined]
    cluster = Cluster(brokers)
    publisher, outbox = EntryPublisher(cluster, b"/me", "entries"), Outbox(cluster, 100_000, timeout_s)
    publisher.publish(b"key", b"entry", EXPIRES_AT)
    outbox.post(TopicPartition("t", 0), Message(b"k", b"answer", [], source, 0))
    await until(lambda: source.finished and publisher.counts.published == 1)
    requests = [[partition.topic for partition in partitions] for _, partitions in brokers.requests]
    assert requests == ([["entries", "t"]] if timeout_s == 30 else [["entries"], ["t"]])
