"""aiokafka by hand: `getmany`, one `send` a record, flush and commit each second."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.bench.meter import Meter
from ops.bench.peers.arguments import Arguments
from ops.bench.work import REQUEST_TOPICS, handle
from topics.names import RESPONSES


async def main() -> None:
    given, meter = Arguments.read(), Meter()
    consumer = AIOKafkaConsumer(
        *REQUEST_TOPICS,
        bootstrap_servers=given.servers,
        group_id=given.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=2000,
    )
    producer = AIOKafkaProducer(bootstrap_servers=given.servers, linger_ms=5, acks="all", max_batch_size=65_536)
    await consumer.start()
    await producer.start()
    positions: dict[object, int] = {}
    count, committed_at = 0, time.monotonic()
    while count < given.records:
        for partition, records in (await consumer.getmany(timeout_ms=500)).items():
            meter.begin()
            for record in records:
                key, value, headers = handle(
                    record.topic, record.partition, record.offset, record.timestamp, record.value
                )
                await producer.send(RESPONSES, key=key, value=value, headers=headers)
            positions[partition] = records[-1].offset + 1
            count += len(records)
        if time.monotonic() - committed_at >= 1:
            await producer.flush()
            await consumer.commit(positions)
            committed_at = time.monotonic()
    await producer.flush()
    await consumer.commit(positions)
    meter.end(count)
    await consumer.stop()
    await producer.stop()


asyncio.run(main())
