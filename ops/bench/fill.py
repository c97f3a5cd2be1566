"""Requests into the request topics, fast: whole batches, one a partition, as the contract partitions them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from ops.bench.work import REQUEST_TOPICS, Load
from topics.partitioner import partition_for

_BATCH_BYTES: Final = 512 * 1024
_TURN: Final = 2_000  # records between two turns of the event loop


async def fill(servers: str, load: Load, *, start: int = 0) -> None:
    """Write the load's requests, number `start` first; returns when all are acked."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", max_batch_size=_BATCH_BYTES, max_request_size=2 * 1024 * 1024
    )
    await producer.start()
    acks: list[Any] = []
    open_batches: dict[TopicPartition, Any] = {}

    async def send(to: TopicPartition) -> None:
        batch = open_batches.pop(to)
        batch.close()
        acks.append(await producer.send_batch(batch, to.topic, partition=to.partition))

    try:
        partitions = {topic: len(await producer.partitions_for(topic)) for topic in REQUEST_TOPICS}
        for count, (topic, key, value) in enumerate(load.requests(start)):
            to = TopicPartition(topic, partition_for(key, partitions[topic]))
            batch = open_batches.get(to)
            if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                if batch is not None:
                    await send(to)
                batch = open_batches[to] = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
            if count % _TURN == 0:
                await asyncio.sleep(0)
        for to in list(open_batches):
            await send(to)
        await asyncio.gather(*acks)
    finally:
        await producer.stop()
