"""A steady load through real providers, with queues in the order of the classes, and what became of each request."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streams.limits import Route
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.providers.call import ProviderCall
from streams.providers.providers import Providers
from topics.names import PRIORITIES, Priority


@dataclass(frozen=True, slots=True)
class Done:
    """One request. Seconds are of the monotonic clock."""

    request: PendingRequest
    began: float
    dispatched: float
    ended: float
    outcome: Outcome

    @property
    def took_s(self) -> float:
        return self.ended - self.began


@dataclass
class Load:
    """Sends requests; those that are Busy wait, the higher classes before the lower ones."""

    providers: Providers
    done: list[Done] = field(default_factory=list)
    sent: int = 0
    _queues: dict[Priority, deque[tuple[PendingRequest, float]]] = field(
        default_factory=lambda: {priority: deque() for priority in PRIORITIES}
    )
    calls: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.providers.on_room(self._room)

    def _room(self, route: Route) -> None:
        self._loop.call_soon(self._fill)

    async def send(self, make: Callable[[int], PendingRequest], rate_per_s: float, seconds: float) -> None:
        """A request every `1 / rate_per_s` seconds."""
        began = time.monotonic()
        for number in range(int(rate_per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate_per_s - time.monotonic()))
            self.put(make(self.sent))

    def put(self, request: PendingRequest) -> None:
        self.sent += 1
        route = self.providers.route(request)
        assert isinstance(route, Route), route
        request.route = route
        self._queues[request.priority].append((request, time.monotonic()))
        self._fill()

    async def wait_done(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.done) < self.sent:
                await asyncio.sleep(0.01)
                self._fill()

    async def stop(self) -> None:
        """Forget what waits and cancel what is under way."""
        for queue in self._queues.values():
            queue.clear()
        await asyncio.sleep(0)  # a task that never began would not give back what it holds
        calls = list(self.calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _fill(self) -> None:
        for queue in self._queues.values():
            while queue:
                request, began = queue[0]
                found = self.providers.reserve(request)
                if isinstance(found, Busy):
                    if found.retry_in_s is not None:
                        self._loop.call_later(found.retry_in_s, self._fill)
                    break
                queue.popleft()
                now = time.monotonic()
                if isinstance(found, Outcome):
                    self.done.append(Done(request, began, now, now, found))
                    continue
                call = self._loop.create_task(self._call(found, request, began))
                self.calls.add(call)
                call.add_done_callback(self.calls.discard)

    async def _call(self, reserved: ProviderCall, request: PendingRequest, began: float) -> None:
        dispatched = time.monotonic()
        try:
            outcome = await reserved.call(request)
        finally:
            reserved.release()
        self.done.append(Done(request, began, dispatched, time.monotonic(), outcome))

    def between(self, start: float, stop: float) -> list[Done]:
        """Requests that began between two moments."""
        return [each for each in self.done if start <= each.began < stop]


def p95_s(done: Iterable[Done]) -> float:
    took = sorted(each.took_s for each in done)
    return statistics.quantiles(took, n=20)[-1]
