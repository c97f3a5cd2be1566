"""A floor under fetches that bring nothing, for consumers that fetch as aiokafka does.

A Kafka broker holds a fetch of nothing for `fetch_max_wait_ms`; aiokafka relies on it and fetches again at once. The
embedded broker does not hold it, so that an idle consumer makes about 5,000 fetches a second and fills a core, and the
broker another. With the floor it makes 20, and a record waits 25 ms longer on average; on Kafka nothing changes.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

EMPTY_FETCH_FLOOR_S = 0.05


def pace_empty_fetches(consumer: AIOKafkaConsumer, floor_s: float = EMPTY_FETCH_FLOOR_S) -> None:
    """Make a started `AIOKafkaConsumer` take at least `floor_s` seconds over every fetch that brings nothing."""
    fetcher = consumer._fetcher
    fetch = fetcher._proc_fetch_request

    async def paced(assignment: Any, node_id: int, request: Any) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        has_data: bool = await fetch(assignment, node_id, request)
        left_s = floor_s - (loop.time() - began)
        if not has_data and left_s > 0:
            try:
                await asyncio.sleep(left_s)
            except asyncio.CancelledError:  # as aiokafka's own: a cancelled fetch brought nothing
                return False
        return has_data

    fetcher._proc_fetch_request = paced
