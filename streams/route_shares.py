"""How much of what may wait is one provider's. Pure.

A dead provider's requests wait until their time is over. What waits holds its partition's quota: without a bound they would pause
all partitions, and with them the requests for providers that live. So where there are several providers, one of them may fill a
share of each partition, and of the class; what is beyond is answered `queue_full`, and the partitions go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from streams.pipeline import PendingRequest
from topics.names import Priority

_CLASSES_PARTITIONS: Final = 2
"""A class has the quota of so many partitions in a worker (streams/app.py)."""

_Key = tuple[str, bytes | Priority | tuple[Priority, str]]
"""A provider, and a partition (`topic:number`) or a class, of a tenant where it is one's."""


@dataclass(frozen=True, slots=True)
class RouteRules:
    """Requests and bytes of one provider that may wait of one partition; twice that of a class."""

    most_requests: int
    most_bytes: int


@dataclass(slots=True)
class _Waiting:
    requests: int = 0
    bytes: int = 0


@dataclass(slots=True)
class RouteShares:
    """What waits, by provider and partition. `rules` None: nothing is counted, nothing is full."""

    rules: RouteRules | None
    _waiting: dict[_Key, _Waiting] = field(default_factory=dict)

    def is_full(self, request: PendingRequest) -> bool:
        """Whether its provider has as much waiting as it may. The request's route is known."""
        if self.rules is None:
            return False
        partition, of_class = _keys(request)
        return self._is_over(partition, request.size, 1) or self._is_over(of_class, request.size, _CLASSES_PARTITIONS)

    def put(self, request: PendingRequest) -> None:
        """It waits."""
        if self.rules is not None:
            self._count(request, 1)

    def take(self, request: PendingRequest) -> None:
        """It waits no longer."""
        if self.rules is not None:
            self._count(request, -1)

    def _is_over(self, key: _Key, size: int, partitions: int) -> bool:
        rules, waiting = self.rules, self._waiting.get(key)
        if rules is None or waiting is None:
            return False
        most_bytes = rules.most_bytes * partitions
        return waiting.requests >= rules.most_requests * partitions or waiting.bytes + size > most_bytes

    def _count(self, request: PendingRequest, sign: int) -> None:
        for key in _keys(request):
            waiting = self._waiting.get(key)
            if waiting is None:
                waiting = self._waiting[key] = _Waiting()
            waiting.requests += sign
            waiting.bytes += sign * request.size
            if not waiting.requests:
                del self._waiting[key]


def _keys(request: PendingRequest) -> tuple[_Key, _Key]:
    provider = request.route.provider
    of_class = (request.priority, request.tenant) if request.tenant else request.priority
    return (provider, request.event_id.rpartition(b":")[0]), (provider, of_class)
