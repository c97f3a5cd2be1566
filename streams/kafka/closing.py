"""Stopping a Kafka client when the broker may be gone.

aiokafka's `stop` waits for answers that the broker owes it (to what was produced, to the goodbye of a group member), up to the
request timeout of 30 to 40 s: longer than whoever sent SIGTERM waits before SIGKILL.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

log = structlog.get_logger("headrace.transport")

WITHIN_S: Final = 1.0


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a consumer or producer, within a second whatever the broker does. What it still owes stays unfinished then, and a
    group waits for the session timeout.
    """
    try:
        await asyncio.wait_for(client.stop(), WITHIN_S)
    except TimeoutError:
        log.warning("left without a goodbye, the broker does not answer", client=type(client).__name__)
