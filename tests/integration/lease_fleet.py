"""Workers of one process that share a limit over a real broker, and a provider that counts their calls in both ways."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaProducer

from ops.load.trace import SHIPPED_TRACE, read_trace
from ops.provider_sim.limits import Bucket, Meter, Window
from streams.app import producer_options
from streams.limits import Route
from streams.limits.budget import Reservation, TooLarge, Wait
from streams.limits.build import Budgets, open_budgets
from streams.limits.token_estimate import Estimate
from streams.limits.usage import Used
from streams.settings.model import Settings

ROUTE = Route("main", "small")


class Judge:
    """A provider with a sliding window and with a token bucket; each sees every call."""

    def __init__(self, requests: int, tokens: int, window_s: float) -> None:
        self._meters: list[Meter] = [Window(requests, tokens, window_s), Bucket(requests, tokens, window_s)]
        self.refused = 0
        self.used: list[tuple[float, int]] = []

    def call(self, tokens: int) -> None:
        now = time.monotonic()
        self.refused += sum(not meter.admit(tokens, now).admitted for meter in self._meters)
        self.used.append((now, tokens))

    def used_since(self, since: float) -> int:
        return sum(tokens for at, tokens in self.used if at >= since)


class SyntheticWorker:
    """Queues calls with the sizes of the Azure conversation trace and makes those that its budget allows."""

    def __init__(self, settings: Settings, judge: Judge, per_s: float, sizes: Iterator[int]) -> None:
        self.settings, self.judge, self.per_s, self.sizes = settings, judge, per_s, sizes
        self.queue: deque[int] = deque()
        self.first_call_s: float | None = None
        self.budgets: Budgets
        self._stack = AsyncExitStack()
        self._room = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> SyntheticWorker:
        producer = AIOKafkaProducer(**producer_options(self.settings))
        await producer.start()
        self._stack.push_async_callback(producer.stop)
        self._began = time.monotonic()
        self.budgets = await open_budgets(
            self.settings,
            producer,
            self._stack,
            waiting=self._waiting,
            alive=lambda: True,
            worker_id=uuid.uuid4().hex,
        )
        self.budgets.of("main").on_room(lambda route: self._room.set())
        for loop in (self._offer, self._serve):
            task = asyncio.create_task(loop())
            self._stack.callback(task.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _waiting(self) -> dict[Route, Any]:
        return (
            {ROUTE: {"normal": (len(self.queue), sum(_estimate(tokens).tokens for tokens in self.queue))}}
            if self.queue
            else {}
        )

    async def _offer(self) -> None:
        while self.per_s:
            self.queue.append(next(self.sizes))
            if len(self.queue) > 100:
                self.queue.popleft()
            self._room.set()
            await asyncio.sleep(random.expovariate(self.per_s))

    async def _serve(self) -> None:
        while True:
            await self._room.wait()
            self._room.clear()
            while self.queue:
                found = self.budgets.of("main").reserve(ROUTE, _estimate(self.queue[0]))
                if isinstance(found, Wait):
                    break
                tokens = self.queue.popleft()
                if not isinstance(found, TooLarge):
                    call = asyncio.create_task(self._call(found, tokens))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)

    async def _call(self, reservation: Reservation, tokens: int) -> None:
        if not reservation.is_valid():
            reservation.release()
            return
        if self.first_call_s is None:
            self.first_call_s = time.monotonic() - self._began
        await asyncio.sleep(random.uniform(0, 0.02))
        self.judge.call(tokens)
        await asyncio.sleep(random.uniform(0.1, 0.5))
        reservation.settle(Used(tokens))


def sizes(scale: float, seed: int = 0) -> Iterator[int]:
    """Tokens of calls as in the trace, times `scale`."""
    rows = [row.prompt_tokens + row.completion_tokens for row in read_trace(SHIPPED_TRACE)]
    draw = random.Random(seed)
    while True:
        yield max(1, int(draw.choice(rows) * scale))


def _estimate(tokens: int) -> Estimate:
    return Estimate(input=tokens + tokens // 5)
