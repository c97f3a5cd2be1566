"""The governor's loop: reads, asks the policy, does what it says, and measures how late the event loop is on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from streams.governor.budget import Budget
from streams.governor.policy import MemoryPolicy, MemoryRules, Reading, Step
from streams.governor.reclaim import collect_all, collect_young, find_give_back, return_buffers_at_once
from streams.governor.rss import rss_reader
from streams.governor.stall import StallWatch
from streams.metrics import definitions as metrics
from streams.settings import Settings
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.governor")

_HELD = "memory is short"
_LOG_EVERY_S = 30.0


class Cache(Protocol):
    """The memory cache, as something that can be smaller."""

    @property
    def held_bytes(self) -> int: ...

    @property
    def size_bytes(self) -> int:
        """What it may hold now."""

    @property
    def wants_more(self) -> bool:
        """Whether it was cut before, and has filled what it was left."""

    def shrink(self, by_bytes: int) -> None: ...

    def grow(self, by_bytes: int) -> None: ...


class Intake(Protocol):
    """Where records come from: the transport's consumer."""

    @property
    def partitions(self) -> Mapping[Any, object]: ...

    @property
    def unfinished(self) -> int: ...

    def hold(self, partition: tuple[str, int], reason: str) -> None: ...

    def release(self, partition: tuple[str, int], reason: str) -> None: ...


class Governor:
    """Watches one worker from `start` to `stop`.

    Costs: one reading of /proc and a timer a tick, 60 µs of CPU (tests/unit/governor/test_governor.py measures it), so 0.06 %
    of a core at ten ticks a second.
    """

    def __init__(
        self,
        budget: Budget,
        settings: Settings,
        cache: Cache,
        intake: Intake,
        *,
        rss: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rss = rss or rss_reader()
        self._policy = MemoryPolicy(
            MemoryRules(
                budget.bytes, settings.gc.threshold, settings.gc.aggressive, settings.memory.hold, settings.gc.interval
            )
        )
        self._cache = cache
        self._intake = intake
        self._every_s = settings.memory.check_interval
        self._clock = clock
        self._give_back = find_give_back()
        if not settings.pooling.buffers:
            return_buffers_at_once()
        self._stalls = StallWatch(settings.loop.stall)
        self._holds, self._logged_at = 0, float("-inf")
        self._ticking: asyncio.Task[None] | None = None
        metrics.MEMORY_BUDGET_BYTES.set(budget.bytes)
        log.info("memory budget", bytes=budget.bytes, source=budget.source)

    def start(self) -> None:
        self._stalls.start()
        self._ticking = supervised("governor", self._tick, self._let_go)

    async def stop(self) -> None:
        if self._ticking is not None:
            await end([self._ticking])
        self._stalls.stop()

    async def _tick(self) -> None:
        while True:
            due = self._clock() + self._every_s
            await asyncio.sleep(self._every_s)
            metrics.LOOP_LAG_SECONDS.observe(max(0.0, self._clock() - due))
            self._stalls.beat()
            self.look()

    def _let_go(self) -> None:
        """The loop has failed: release what it holds."""
        for partition in list(self._intake.partitions):
            self._intake.release(partition, _HELD)

    def look(self) -> Step:
        """One reading, and what follows from it."""
        held, began = self._policy.holding, self._clock()
        reading = Reading(self._rss(), self._cache.held_bytes, self._cache.wants_more, self._intake.unfinished)
        step = self._policy.step(reading, began)
        self._reclaim(step, began)
        for partition in list(self._intake.partitions) if step.hold or held else ():  # again: some may have come
            (self._intake.hold if step.hold else self._intake.release)(partition, _HELD)
        if step.hold and not held:
            self._log_hold(reading, began)
        metrics.MEMORY_BYTES.set(reading.rss_bytes)
        metrics.MEMORY_HELD.set(step.hold)
        metrics.CACHE_SIZE_BYTES.set(self._cache.size_bytes)
        return step

    def _reclaim(self, step: Step, began: float) -> None:
        if step.cut_cache_bytes:
            self._cache.shrink(step.cut_cache_bytes)
        if step.grow_cache_bytes:
            self._cache.grow(step.grow_cache_bytes)
        if step.collect != "nothing":
            (collect_all if step.collect == "full" else collect_young)()
            metrics.COLLECTIONS.labels(step.collect).inc()
        if step.give_back:
            self._give_back()
        if step.give_back or step.collect != "nothing":
            now = self._clock()
            self._policy.took(now - began, now)
            metrics.RECLAIM_SECONDS.observe(now - began)

    def _log_hold(self, reading: Reading, now: float) -> None:
        """A hold often lasts a tenth of a second, and many follow each other: one line for all of half a minute."""
        self._holds += 1
        metrics.MEMORY_HOLDS.inc()
        if now < self._logged_at + _LOG_EVERY_S:
            return
        log.warning(
            "memory is short, records are held for a moment",
            times=self._holds,
            rss_bytes=reading.rss_bytes,
            budget_bytes=self._policy.rules.budget_bytes,
            cache_bytes=self._cache.held_bytes,
            cache_size_bytes=self._cache.size_bytes,
        )
        self._logged_at, self._holds = now, 0
