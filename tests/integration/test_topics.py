"""`topics apply` on a real broker: creates what is missing, says what differs, changes it only when told to."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.brokers import Broker
from streams.kafka import provision
from topics import TopicSpec, catalogue, contract_partitioner, partition_for


@pytest.fixture
def options(broker: Broker) -> dict[str, Any]:
    return {"bootstrap_servers": broker.bootstrap_servers}


@pytest.fixture
def renamed(unique: Callable[[str], str]) -> Callable[[int], tuple[TopicSpec, ...]]:
    """The catalogue for a number of partitions, under names that no other test has."""
    suffix = unique("")
    return lambda partitions: tuple(replace(s, name=f"{s.name}{suffix}") for s in catalogue(partitions))


Catalogue = Callable[[int], tuple[TopicSpec, ...]]


async def test_a_second_apply_finds_nothing_to_do(options: dict[str, Any], renamed: Catalogue) -> None:
    first = await provision.apply(options, renamed(4))
    assert len(first.done) == len(catalogue())
    assert (first.differences, first.notes) == ((), ())
    second = await provision.apply(options, renamed(4))
    assert (second.done, second.differences) == ((), ())
    assert await provision.check(options, renamed(4)) == second


async def test_check_creates_nothing(options: dict[str, Any], renamed: Catalogue) -> None:
    report = await provision.check(options, renamed(4))
    assert {d.kind for d in report.differences} == {"missing"}
    assert await provision.check(options, renamed(4)) == report
    assert all(state.found is None for state in await provision.listing(options, renamed(4)))


async def test_partitions_are_added_only_when_allowed(options: dict[str, Any], renamed: Catalogue) -> None:
    await provision.apply(options, renamed(8))
    refused = await provision.apply(options, renamed(9))
    assert refused.done == ()
    assert [(d.kind, d.found, d.wanted) for d in refused.differences] == [("partitions", "8", "9")] * 5
    grown = await provision.apply(options, renamed(9), allow_repartition=True)
    assert grown.differences == ()
    assert len(grown.done) == 5
    assert all("moves 11.1 % of the keys" in line for line in grown.done)


async def test_partitions_are_never_taken_away(options: dict[str, Any], renamed: Catalogue) -> None:
    await provision.apply(options, renamed(3))
    report = await provision.apply(options, renamed(2), allow_repartition=True, alter_configs=True)
    assert report.done == ()
    assert [d.kind for d in report.differences] == ["partitions"] * 5


async def test_settings_are_changed_only_when_told_and_others_settings_stay(
    options: dict[str, Any], renamed: Catalogue
) -> None:
    responses = next(spec for spec in renamed(2) if spec.name.startswith("agent.responses"))
    await _create(options, responses.name, {"retention.ms": "5000", "min.compaction.lag.ms": "7"})

    reported = await provision.apply(options, [responses])
    assert reported.done == ()
    assert {d.key for d in reported.differences} == {"retention.ms", "max.message.bytes", "message.timestamp.type"}

    mended = await provision.apply(options, [responses], alter_configs=True)
    assert mended.differences == ()
    assert len(mended.done) == 3
    (state,) = await provision.listing(options, [responses])
    assert state.found is not None
    assert state.found.overrides["min.compaction.lag.ms"] == "7"


async def test_two_who_apply_at_once_do_not_disturb_each_other(options: dict[str, Any], renamed: Catalogue) -> None:
    reports = await asyncio.gather(*(provision.apply(options, renamed(2)) for _ in range(3)))
    assert len({line for report in reports for line in report.done}) == len(catalogue())
    assert sum(len(report.done) for report in reports) == len(catalogue())
    assert all(report.differences == () for report in reports)


async def test_a_broker_that_does_not_answer_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            provision.BrokerUnreachableError, match=f"no Kafka broker can be used at {address}"
        ) as caught:
            await provision.check({"bootstrap_servers": address}, catalogue())
    assert "\n" not in str(caught.value)


async def test_a_refusal_is_one_clear_line(options: dict[str, Any], renamed: Catalogue) -> None:
    wanted = [replace(renamed(1)[0], replication_factor=5)]
    with pytest.raises(provision.ProvisionError, match="cannot create topic agent"):
        await provision.apply(options, wanted)


async def test_a_producer_with_the_contracts_partitioner_writes_where_the_contract_says(
    options: dict[str, Any], renamed: Catalogue
) -> None:
    requests = renamed(7)[0]
    await provision.apply(options, [requests])
    agents = [f"agent-{number}".encode() for number in range(50)]
    async with AIOKafkaProducer(**options, partitioner=contract_partitioner) as producer:
        for agent in agents:
            await producer.send(requests.name, key=agent, value=b"{}")
        await producer.flush()
    found: dict[bytes, int] = {}
    consumer = AIOKafkaConsumer(requests.name, **options, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(30):
        while len(found) < len(agents):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {record.key: record.partition for record in records}
    assert found == {agent: partition_for(agent, 7) for agent in agents}


async def _create(options: dict[str, Any], name: str, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(name, 2, 1, topic_configs=config)])
        assert all(error[1] == 0 for error in response.topic_errors)
        async with asyncio.timeout(30):
            while name not in await admin.list_topics():  # noqa: ASYNC110 - a broker has no event to wait for
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
