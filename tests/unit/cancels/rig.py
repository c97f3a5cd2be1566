"""The gate, the cache and flow, wired as a worker has them, between lists of answers and calls that end when the test says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.cancel import Cancel
from schemas.response import CacheResult, Usage
from streams.cache.answers import Answer
from streams.cache.memory import MemoryTier
from streams.cache.rules import CacheRules
from streams.cache.stage import CacheStage
from streams.cancels.book import CancelBook
from streams.cancels.gate import CancelGate
from streams.flow.dispatch import Dispatch
from streams.limits import Route
from streams.pipeline import Hit, Outcome, PendingRequest
from tests.support.requests import rules, until
from tests.unit.cache.requests import DictStore
from tests.unit.flow.test_dispatch import HandledProviders
from topics.names import FRONT_RESPONSES

OK = Outcome("ok", payload=b'{"data": []}', usage=Usage(1, 2, 3), provider="sim", attempts=1)


class Delivered:
    """The end of the pipeline: every answer finishes its record."""

    def __init__(self) -> None:
        self.outcomes: dict[PendingRequest, list[Outcome]] = {}
        self.abandoned: list[PendingRequest] = []

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.outcomes.setdefault(request, []).append(outcome)
        request.source.finish(request.index)

    def respond_hits(self, hits: Sequence[Hit], found_in: CacheResult) -> None:
        for request, answer in hits:
            self.respond(request, answer.outcome(found_in))

    def abandon(self, request: PendingRequest) -> None:
        self.abandoned.append(request)

    def type_of(self, request: PendingRequest) -> str:
        """`ok`, or the type of its error; empty where it has no answer yet."""
        found = self.outcomes.get(request)
        if not found:
            return ""
        assert len(found) == 1, found
        return "ok" if found[0].error is None else found[0].error.type


class Rig:
    def __init__(self, **room: int) -> None:
        self.providers, self.delivered, self.store = HandledProviders(**room), Delivered(), DictStore()
        memory: MemoryTier[Answer] = MemoryTier(1 << 20, {"responses": 0.7, "metadata": 0.3})
        cache = CacheRules("fleet", 1.0, memory_ttl_s=300, ttl_s=86_400, finished_window_s=600)
        self.stage = CacheStage(cache, memory, self.store, self.delivered, now=lambda: 1000.0)
        self.dispatch = Dispatch(rules(rate_per_s=1e9), self.providers, self.stage, lambda: 1000.0, time.monotonic)
        self.stage.connect(self.dispatch)
        book = CancelBook(FRONT_RESPONSES)
        self.gate = CancelGate(book, self.stage, self.delivered, self.stage.unanswered.find, lambda: 1000.0)
        self.stage.unanswered.refusal = self.gate.refusal

    def cancel(self, request: PendingRequest) -> None:
        cancel = Cancel(request_id=request.request_id, agent_id=request.agent_id, record=request.event_id.decode())
        self.gate.take(cancel, 1000.0)

    async def take(self, *requests: PendingRequest) -> None:
        """Hand them over, and let the look-up on disk end."""
        self.gate.accept(requests)
        await self.settle()

    async def settle(self) -> None:
        await until(lambda: self.stage._looking_up is None)
        for _ in range(4):
            await asyncio.sleep(0)

    def calls(self) -> list[str]:
        return [request.request_id for request in self.providers.under_way]

    def open_route(self, model: str) -> None:
        self.providers.free[model] = 1_000
        self.providers.tell(Route("p", model))


@asynccontextmanager
async def rigged(**room: int) -> AsyncIterator[Rig]:
    rig = Rig(**room)
    try:
        yield rig
    finally:
        await rig.dispatch.stop()
        await rig.stage.stop()
