"""Reading a log by oneself: of no group, with nothing committed, from wherever the reader says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from streams.kafka.closing import stop
from streams.kafka.reconnect import make_consumer


@asynccontextmanager
async def log_reader(client_options: Mapping[str, object], **more: object) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of no group and, so far, of no partitions, stopped in the end. It finds its cluster again.

    `more`: options of aiokafka's besides `client_options`. Who reads keeps where to go on after a fault, opens another one,
    and seeks. Raises KafkaError.
    """
    options = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    consumer = make_consumer(**{**client_options, **options, **more})
    try:
        await consumer.start()
        yield consumer
    finally:
        await stop(consumer)
