"""From the queues to the providers: as many calls under way as the limits allow, and none waiting inside a client.

A request leaves its queue only when its provider has a slot for it. What waits too long is answered `expired` without a
call, also while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from streams.flow.calls import Busy, Providers, Reservation
from streams.flow.queues import ClassQueues
from streams.metrics import definitions as metrics
from streams.pipeline import Answers, Outcome, PendingRequest, expired, refused
from topics.names import Priority

log = structlog.get_logger("headrace.flow")

_SWEEP_S = 0.1
"""How late an expiry in the queue may be noticed."""


class Dispatch:
    """Stage: holds requests until they may be dispatched, then sees them through their call."""

    def __init__(
        self,
        priorities: Sequence[Priority],
        most_in_flight: int,
        providers: Providers,
        answers: Answers,
        now: Callable[[], float],
    ) -> None:
        self._queues = ClassQueues(priorities)
        self._most_in_flight = most_in_flight
        self._providers = providers
        providers.on_room(lambda _: self._fill())
        self._answers = answers
        self._now = now
        self._calls: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopped = False

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        for request in requests:
            route = self._providers.route(request)
            if isinstance(route, Outcome):
                self._answers.respond(request, route)
                continue
            request.route = route
            self._queues.put(request)
        self._fill()
        if len(self._queues) and self._sweeper is None and not self._stopped:
            self._sweeper = asyncio.create_task(self._sweep())

    def _fill(self) -> None:
        """Dispatch while there is something to dispatch and room for it, high first."""
        progress = True
        while progress and len(self._calls) < self._most_in_flight and not self._stopped:
            progress = False
            for request in self._queues.heads():
                if self._try(request):
                    progress = True
                    break

    def _try(self, request: PendingRequest) -> bool:
        """Whether the request left its queue."""
        now = self._now()
        if not request.source.live:
            self._answers.abandon(self._queues.pop(request.priority))
            return True
        if request.dispatch_by <= now:
            self._answers.respond(self._queues.pop(request.priority), expired("in the queue"))
            return True
        reserved = self._providers.reserve(request)
        if isinstance(reserved, Busy):
            return False
        self._queues.pop(request.priority)
        if isinstance(reserved, Outcome):
            self._answers.respond(request, reserved)
            return True
        request.dispatched_at = now
        metrics.QUEUE_SECONDS.labels(request.priority).observe(max(0.0, now - request.received_at))
        call = asyncio.create_task(self._call(request, reserved))
        self._calls.add(call)
        call.add_done_callback(self._on_end)
        return True

    async def _call(self, request: PendingRequest, reserved: Reservation) -> None:
        try:
            outcome = await reserved.call(request)
        except Exception:  # a fault of ours: unanswered, the record would hold its partition's commits for ever
            log.exception("a call broke by a fault of the pipeline's own", request_id=request.request_id)
            outcome = refused("internal", "a fault of the pipeline's own, see its log")
        finally:
            reserved.release()
        self._answers.respond(request, outcome)

    def _on_end(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.result()  # a fault of ours is not to be lost: the loop's exception handler tells
            self._fill()

    async def _sweep(self) -> None:
        while len(self._queues):
            await asyncio.sleep(_SWEEP_S)
            for request in self._queues.take_expired(self._now()):
                if request.source.live:
                    self._answers.respond(request, expired("in the queue"))
                else:
                    self._answers.abandon(request)
            self._fill()
        self._sweeper = None

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def waiting(self) -> dict[Priority, int]:
        """Requests waiting for dispatch, by class."""
        return self._queues.waiting()

    def oldest_wait_s(self, now: float) -> float:
        """How long the oldest waiting request has waited, from its record's timestamp; 0 if none waits."""
        return max((now - request.received_at for request in self._queues.heads()), default=0.0)

    async def stop(self) -> None:
        """Cancel what is under way; its records stay unfinished and go to the next owner. What comes later waits for ever."""
        self._stopped = True  # a call that ends just now must not start the next one
        tasks = [*self._calls, *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
