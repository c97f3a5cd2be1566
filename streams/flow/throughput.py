"""How fast what waits is dispatched, and how fast more of it comes: by route and class, of the last seconds. Pure.

Only time counts in which something waited at the beginning and at the end of a tick: what passes through an empty queue says
nothing of what a full one would give, and neither does the burst with which it fills. Counts and time lose weight together, so
that their ratio is right from the first tick on. There are two memories: the short one is believed once it has seen enough, the
long one before that; with less than a few dispatches there is no rate at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Final

from streams.flow.lanes import Lane
from streams.flow.scheduler import Scheduler
from streams.limits import Route
from topics.names import PRIORITIES, Priority

_MEMORIES_S: Final = (10.0, 60.0)
_ENOUGH: Final = 30.0
"""Dispatches that the short memory must have seen: the rate of a random stream is known to a fifth then."""
_LEAST: Final = 5.0
_LEAST_S: Final = 1.0
_MOST_ROUTES: Final = 1_000
"""Names of models come from outside."""
_DURATION_SHARE: Final = 0.05
"""Of a new call in the mean duration."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A second: dispatched, all classes together, and come, by class."""

    dispatched: float
    came: Mapping[Priority, float]

    def __add__(self, other: Rates) -> Rates:
        came = {priority: self.came.get(priority, 0.0) + other.came.get(priority, 0.0) for priority in PRIORITIES}
        return Rates(self.dispatched + other.dispatched, came)


@dataclass(slots=True)
class _Memory:
    seconds: float = 0.0
    went: float = 0.0
    came: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(PRIORITIES, 0.0))

    def decay(self, kept: float) -> None:
        self.seconds *= kept
        self.went *= kept
        for priority in self.came:
            self.came[priority] *= kept


@dataclass(slots=True)
class _OfRoute:
    memories: tuple[_Memory, ...] = field(default_factory=lambda: tuple(_Memory() for _ in _MEMORIES_S))
    waited: bool = False
    """Whether something waited at the last tick."""
    call_s: float | None = None


class Throughput:
    """Counts of a scheduler's lanes as rates. `tick` it every 0.1 s or so: 2 us a lane, nothing a request."""

    def __init__(self, now: float) -> None:
        self._routes: dict[Route, _OfRoute] = {}
        self._counts: dict[Lane, tuple[int, int]] = {}
        self._at = now

    def tick(self, scheduler: Scheduler, now: float) -> None:
        """Take what came and went since the last tick into account; before the scheduler drops lanes."""
        passed_s, self._at = now - self._at, now
        if passed_s <= 0:
            return
        kept = [exp(-passed_s / memory_s) for memory_s in _MEMORIES_S]
        fresh: dict[Route, list[tuple[Priority, int, int]]] = {}
        waits: set[Route] = set()
        counts: dict[Lane, tuple[int, int]] = {}
        for queue in scheduler.queues:
            for route, lane in queue.lanes.items():
                came, went = self._counts.get(lane, (0, 0))
                counts[lane] = (lane.came, lane.went)
                fresh.setdefault(route, []).append((queue.priority, lane.came - came, lane.went - went))
                if _waits(lane):
                    waits.add(route)
        self._counts = counts
        for route, of_route in list(self._routes.items()):
            for memory, share in zip(of_route.memories, kept, strict=True):
                memory.decay(share)
            if route not in fresh:
                of_route.waited = False
                if of_route.memories[-1].went < 0.01 and of_route.call_s is None:
                    del self._routes[route]
        for route, found in fresh.items():
            of_route = self._of(route)
            if of_route.waited and route in waits:
                for memory in of_route.memories:
                    memory.seconds += passed_s
                    for priority, came, went in found:
                        memory.came[priority] += came
                        memory.went += went
            of_route.waited = route in waits

    def ended(self, route: Route, seconds: float) -> None:
        """A call of the route has ended that long after it was dispatched. 0.2 us."""
        of_route = self._of(route)
        before = of_route.call_s
        of_route.call_s = seconds if before is None else before + _DURATION_SHARE * (seconds - before)

    def of(self, route: Route) -> Rates | None:
        """The route's rates while it had something waiting; None where too little is known."""
        of_route = self._routes.get(route)
        if of_route is None:
            return None
        short, long = of_route.memories
        memory = short if short.went >= _ENOUGH else long
        if memory.went < _LEAST or memory.seconds < _LEAST_S:
            return None
        return Rates(
            memory.went / memory.seconds,
            {priority: came / memory.seconds for priority, came in memory.came.items()},
        )

    def call_s(self, route: Route) -> float | None:
        """The mean time of its calls lately, with their retries; None where none has ended."""
        of_route = self._routes.get(route)
        return None if of_route is None else of_route.call_s

    def _of(self, route: Route) -> _OfRoute:
        found = self._routes.get(route)
        if found is None:
            if len(self._routes) >= _MOST_ROUTES:
                del self._routes[next(iter(self._routes))]
            found = self._routes[route] = _OfRoute()
        return found


def _waits(lane: Lane) -> bool:
    return any(turn.requests for turn in lane.turns.values())
