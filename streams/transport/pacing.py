"""How soon a consumer fetches again: after a fetch of nothing, and after one that brought records.

A Kafka broker holds a fetch of nothing for `fetch_max_wait_ms`; aiokafka relies on it and fetches again at once. The
embedded broker does not hold it, so that an idle consumer makes about 5,000 fetches a second and fills a core, and the
broker another. With the floor it makes 20, and a record waits 25 ms longer on average; on Kafka nothing changes.

When records trickle in, a fetch comes back with each of them, and costs more than the record. A short pause lets a few come
together. Where more than a few wait already there is no pause: a backlog of one partition comes in fetches that are done sooner.
"""

import asyncio
import contextlib
from typing import Any

EMPTY_FETCH_FLOOR_S = 0.05
FEW_RECORDS = 100


def pace_empty_fetches(consumer: Any, floor_s: float = EMPTY_FETCH_FLOOR_S) -> None:
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


def pause_after_records(consumer: Any, pause_s: float) -> None:
    """Make a started `AIOKafkaConsumer` begin its fetches from a broker at least `pause_s` apart while they bring few records.
    The records are handed out at once.
    """
    fetcher = consumer._fetcher
    fetch = fetcher._proc_fetch_request

    def waiting(assignment: Any) -> int:
        """Records from what was fetched to the ends of those partitions' logs."""
        states = [assignment.state_value(partition) for partition in fetcher._records]
        return sum(state.highwater - state.position for state in states if state.highwater and state.has_valid_position)

    async def paused(assignment: Any, node_id: int, request: Any) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        has_data: bool = await fetch(assignment, node_id, request)
        left_s = pause_s - (loop.time() - began)
        if has_data and left_s > 0 and waiting(assignment) < FEW_RECORDS:
            for waiter in list(fetcher._fetch_waiters):
                fetcher._notify(waiter)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(left_s)
            return False  # who waits knows already: aiokafka would tell them once more
        return has_data

    fetcher._proc_fetch_request = paused
