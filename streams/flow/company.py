"""Requests that can share a call: which of those that wait fit together, and which wait for company. Pure.

Whatever waits anyway is taken along when one of its kind is called. Beyond that a request may wait for company on purpose,
as long as every dispatcher has something to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

from streams.flow.merge import Key, Mergeable, mergeable
from streams.limits import Route
from streams.pipeline import PendingRequest

_MOST_ROUTES: Final = 1000
"""Routes of which a smaller size is remembered; their names may come from outside."""


class Company:
    """Waiting requests that can share a call, by what they have in common.

    `most_inputs` go in one call; where a route's answers turned out too large, fewer. 1: nothing is merged.
    """

    def __init__(self, most_inputs: int, wait_s: float) -> None:
        self._most_inputs = most_inputs
        self._wait_s = wait_s
        self._most_of_route: dict[Route, int] = {}
        self._groups = count(1)
        self._kinds: dict[PendingRequest, Mergeable] = {}
        self._waiting: dict[Key, dict[PendingRequest, None]] = {}
        self._gathering: dict[Key, dict[PendingRequest, float]] = {}

    def add(self, request: PendingRequest) -> bool:
        """Note a request that waits; whether it can share a call."""
        kind = mergeable(request) if self._most_inputs > 1 else None
        if kind is None or kind.inputs >= self._most(request.route):
            return False
        self._note(request, kind)
        return True

    def add_group(self, requests: Sequence[PendingRequest]) -> None:
        """Note requests that wait again after a call that failed for all: they share a call only with each other."""
        if len(requests) > 1:
            shape = b"group %d" % next(self._groups)
            for request in requests:
                kind = mergeable(request)
                assert kind is not None, "it was merged before"
                self._note(request, Mergeable((request.priority, request.route, shape), kind.inputs))

    def too_large(self, route: Route, inputs: int) -> None:
        """The answer to so many inputs was too large: merge fewer on this route."""
        if len(self._most_of_route) >= _MOST_ROUTES:
            self._most_of_route.clear()
        self._most_of_route[route] = max(1, inputs // 2)

    def may_wait(self, request: PendingRequest, now: float) -> bool:
        """Whether its own time allows a wait for company; `now` by the records' clock."""
        return self._wait_s > 0 and request.dispatch_by > now + self._wait_s

    def gather(self, request: PendingRequest, now: float) -> list[PendingRequest]:
        """Let the request, which `add` took, wait for company; those that may go because they are enough now."""
        key = self._kinds[request].key
        gathered = self._gathering.setdefault(key, {})
        gathered[request] = now + self._wait_s
        if sum(self._kinds[each].inputs for each in gathered) < self._most(request.route):
            return []
        return list(self._gathering.pop(key))

    def enough_waited(self, now: float, *, everybody: bool) -> list[PendingRequest]:
        """Those that wait for company no longer: with the first of a kind whose time is over, the others of its kind."""
        over = [key for key, gathered in self._gathering.items() if everybody or next(iter(gathered.values())) <= now]
        return [request for key in over for request in self._gathering.pop(key)]

    @property
    def next_at(self) -> float | None:
        """When the first wait for company is over."""
        return min((next(iter(gathered.values())) for gathered in self._gathering.values()), default=None)

    def fitting(self, request: PendingRequest) -> list[PendingRequest]:
        """Those that wait and fit into one call with this one, first come first; they stay until they are removed."""
        kind = self._kinds.get(request)
        if kind is None:
            return []
        room = self._most(request.route) - kind.inputs
        found: list[PendingRequest] = []
        for other in self._waiting[kind.key]:
            if other is not request:
                room -= self._kinds[other].inputs
                if room < 0:
                    break
                found.append(other)
        return found

    def remove(self, request: PendingRequest) -> bool:
        """It waits no more. Whether it was waiting for company."""
        kind = self._kinds.pop(request, None)
        if kind is None:
            return False
        waiting = self._waiting[kind.key]
        del waiting[request]
        if not waiting:
            del self._waiting[kind.key]
        gathered = self._gathering.get(kind.key)
        if gathered is None or gathered.pop(request, None) is None:
            return False
        if not gathered:
            del self._gathering[kind.key]
        return True

    def _note(self, request: PendingRequest, kind: Mergeable) -> None:
        self._kinds[request] = kind
        self._waiting.setdefault(kind.key, {})[request] = None

    def _most(self, route: Route) -> int:
        return min(self._most_inputs, self._most_of_route.get(route, self._most_inputs))
