"""Requests from a transactional producer: what was aborted is not executed, and commits move past the markers."""

from collections.abc import Callable

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, request
from tests.support.positions import end_offsets, read_all
from topics import contract_partitioner
from topics.names import PRIORITIES, REQUEST_TOPICS, TOPIC_OF

TRANSACTIONS = 200
REQUESTS_A_TRANSACTION = 6


async def test_aborted_requests_are_not_executed_and_commits_move_past_the_markers(
    pipeline: Pipeline, measured: Measured, unique: Callable[[str], str]
) -> None:
    aborted: set[str] = set()
    producer = AIOKafkaProducer(
        **pipeline.client_options, transactional_id=unique("agents"), partitioner=contract_partitioner
    )
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic, producer:
        await fleet.start(1)
        for number in range(TRANSACTIONS):
            await producer.begin_transaction()
            names = [f"tx-{number}-{n}" for n in range(REQUESTS_A_TRANSACTION)]
            acks = [
                await producer.send(
                    TOPIC_OF[PRIORITIES[n % 3]], orjson.dumps(request(name)), f"agent-{number}-{n}".encode()
                )
                for n, name in enumerate(names)
            ]
            records = [await ack for ack in acks]
            if number % 10 == 9:
                await producer.abort_transaction()
                aborted.update(names)
            else:
                await producer.commit_transaction()
                for name, record in zip(names, records, strict=True):
                    traffic.ledger.note_sent(name, record.timestamp)
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        summary, lost = traffic.ledger.summary(), traffic.ledger.lost_ids()
    calls = pipeline.simulator.calls_by_id()
    on_broker: list[ConsumerRecord] = await read_all(pipeline.client_options)
    markers = sum((await end_offsets(pipeline.client_options, REQUEST_TOPICS)).values()) - len(on_broker)
    measured(f"{len(aborted)} aborted of {len(on_broker)} records, {markers} markers; {summary}")

    assert markers >= TRANSACTIONS
    assert len(on_broker) == TRANSACTIONS * REQUESTS_A_TRANSACTION, "the broker holds the aborted ones too"
    assert lost == []
    assert summary.ok == summary.sent == TRANSACTIONS * REQUESTS_A_TRANSACTION - len(aborted)
    assert summary.duplicates == 0
    assert set(calls) & aborted == set()
    assert set(calls.values()) == {1}
