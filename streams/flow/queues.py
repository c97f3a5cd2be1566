"""Requests that wait for dispatch: one queue a class, served in class order, first come first served inside a class.

Pure and synchronous. How much may wait is bounded before: the transport hands out no more than its quotas.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from streams.pipeline import PendingRequest
from topics.names import Priority


class ClassQueues:
    """Waiting requests by class; `priorities` in the order in which they are served."""

    def __init__(self, priorities: Sequence[Priority]) -> None:
        self._queues: dict[Priority, deque[PendingRequest]] = {priority: deque() for priority in priorities}

    def put(self, request: PendingRequest) -> None:
        self._queues[request.priority].append(request)

    def heads(self) -> Iterator[PendingRequest]:
        """The next request of each class, in serving order."""
        for queue in self._queues.values():
            if queue:
                yield queue[0]

    def pop(self, priority: Priority) -> PendingRequest:
        """Take the next request of a class that has one."""
        return self._queues[priority].popleft()

    def take_expired(self, now: float) -> list[PendingRequest]:
        """Take out every request whose wait ends by `now`, or whose record belongs to another worker by now."""
        expired: list[PendingRequest] = []
        for priority, queue in self._queues.items():
            if any(request.dispatch_by <= now or not request.source.live for request in queue):
                kept: deque[PendingRequest] = deque()
                for request in queue:
                    over = request.dispatch_by <= now or not request.source.live
                    (expired if over else kept).append(request)
                self._queues[priority] = kept
        return expired

    def waiting(self) -> dict[Priority, int]:
        """How many wait, by class."""
        return {priority: len(queue) for priority, queue in self._queues.items()}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))
