"""What a control process and a supervisor follow: the decisions, and the fleet's windows, read without a group.

Everybody reads the same records in the same order, also who decides nothing now: so that one that takes over knows all.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from schemas.metric_window import MetricWindow
from schemas.scaling_decision import Signals
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.scaling.log import DecisionLog, read_decision
from streams.scaling.signals import FLEET, in_order, signals_of
from streams.supervise import end, supervised
from topics.names import V1, TopicNames

log = structlog.get_logger("headrace.scaling")

_POLL_MS: Final = 200
_RETRY_S: Final = 1.0
_CATCH_UP_S: Final = 20.0
_DECISIONS_BACK: Final = 200
"""How many of the newest records are read at the start. The newest epoch is among them, or 200 late ones came in a row."""
_MOST_WINDOWS: Final = 2_000
_AHEAD_S: Final = 86_400.0
"""A window that ends further ahead of this process's clock is of no clock: it would push out all others, and stay the newest."""


class ScalingTail:
    """Follows the topics inside an `async with` block.

    Args:
        client_options: for the consumer.
        names: of the fleet's topics.
        windows_s: how far back in time windows are kept; 0: windows are not read.
        least, most: workers that a decision may want.
        now: Unix seconds.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        names: TopicNames = V1,
        *,
        windows_s: float = 0.0,
        least: int = 0,
        most: int = 2**53,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.decisions = DecisionLog(least, most)
        self.heard_at: float | None = None
        """Monotonic time at which the broker last said what the topics hold, and all of it was read."""
        self._windows: deque[Signals] = deque(maxlen=_MOST_WINDOWS)
        self._windows_s = windows_s
        self._now = now
        self.names = names
        self._decisions = TopicPartition(names.scaling_decisions, 0)
        self._fleet_windows = TopicPartition(names.metric_windows, 0)
        self._partitions = [self._decisions, *([self._fleet_windows] if windows_s else [])]
        self._reader = log_reader(client_options, fetch_max_wait_ms=100)
        self._consumer: AIOKafkaConsumer
        self._positions: dict[TopicPartition, int] = {}
        self._reads_again = False
        self._moved = asyncio.Condition()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start, and read what is there. Raises KafkaError."""
        async with AsyncExitStack() as stack:
            self._consumer = await stack.enter_async_context(self._reader)
            await self._begin()
            stack.push_async_callback(end, [supervised("scaling_tail", self._follow)])
            await self.catch_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def windows(self) -> Sequence[Signals]:
        """The fleet's windows, ascending by time, each once."""
        return in_order(self._windows)

    def change(self, *, windows_s: float, least: int, most: int) -> None:
        """Keep windows of so much time, and read decisions by these limits, from now on; longer ago is read again."""
        self._reads_again = self._reads_again or windows_s > self._windows_s > 0
        self._windows_s = windows_s
        self.decisions.change_limits(least, most)

    async def catch_up(self) -> None:
        """Wait until everything is read that the topics hold now. Raises KafkaError and TimeoutError."""
        ends = await end_offsets(self._consumer, self._partitions)
        if not await self.until(
            lambda: all(self._positions.get(partition, 0) >= end for partition, end in ends.items()), _CATCH_UP_S
        ):
            raise TimeoutError(f"the scaling topics could not be read to their ends within {_CATCH_UP_S:.0f} s")
        self.heard_at = time.monotonic()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the condition holds, asked after each fetch; False if that takes longer."""
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(condition)
        except TimeoutError:
            return False
        return True

    async def _begin(self) -> None:
        begins = await begin_offsets(self._consumer, self._partitions)
        ends = await end_offsets(self._consumer, self._partitions)
        self._positions = {self._decisions: max(begins[self._decisions], ends[self._decisions] - _DECISIONS_BACK)}
        if self._windows_s:
            since_ms = round((self._now() - self._windows_s) * 1000)
            first = (await self._consumer.offsets_for_times({self._fleet_windows: since_ms}))[self._fleet_windows]
            self._positions[self._fleet_windows] = ends[self._fleet_windows] if first is None else first.offset
        self._consumer.assign(self._partitions)

    async def _from_further_back(self) -> None:
        self._reads_again = False
        try:
            await self._begin()
        except BaseException:
            self._reads_again = True
            raise
        for partition, offset in self._positions.items():
            self._consumer.seek(partition, offset)

    async def _follow(self) -> None:
        for partition, offset in self._positions.items():  # after a fault: what was fetched and not noted is read again
            self._consumer.seek(partition, offset)
        while True:
            try:
                if self._reads_again:
                    await self._from_further_back()
                batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:  # the client goes on by itself, and reports what lasts again
                log.warning("the scaling topics cannot be read now, trying again", error=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            for partition, records in batches.items():
                for record in records:
                    (self._note_decision if partition == self._decisions else self._note_window)(record)
            async with self._moved:
                for partition in self._partitions:
                    self._positions[partition] = await self._consumer.position(partition)
                self._moved.notify_all()

    def _note_decision(self, record: Any) -> None:
        decision = read_decision(record.value)
        if decision is None:
            log.warning("a record on the decisions' topic is none", offset=record.offset)
        else:
            self.decisions.note(decision)

    def _note_window(self, record: Any) -> None:
        if record.key != FLEET.encode():
            return
        try:
            window = signals_of(MetricWindow.model_validate_json(record.value or b""))
        except ValidationError:
            log.warning("a record on the windows' topic is none", offset=record.offset)
            return
        if window.end_s > self._now() + _AHEAD_S:
            log.warning("a window of a time far ahead is left out", offset=record.offset, end_s=window.end_s)
            return
        self._windows.append(window)
        while self._windows and self._windows[0].end_s < window.end_s - self._windows_s:
            self._windows.popleft()
