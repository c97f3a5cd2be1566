"""The waiting requests of one class: lanes by route, in a lane the agents in turns, first come first served in a turn.

All turns of a class stand in one ring, whatever their lane: each has a stamp, and the lane whose first turn has the lowest
stamp goes next. A lane is a part of the ring that can be blocked as a whole, so that what waits for a full provider is not
even looked at. An agent over its threshold has its turns in a second ring, which is served when the first one has nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from itertools import count

from streams.flow.agents import Agent
from streams.flow.timer_wheel import TimerWheel
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from topics.names import Priority

_NOWHERE = -1
_NEVER = float("inf")


class Turn:
    """One agent's requests on one lane. In one ring at most: `stamp` is its place there."""

    __slots__ = ("agent", "due_at", "lane", "requests", "stamp")

    def __init__(self, agent: Agent, lane: Lane) -> None:
        self.agent = agent
        self.lane = lane
        self.requests: list[PendingRequest] = []
        """A list: most are short, and a deque of one takes 0.6 KB. `pop(0)` of a thousand costs 0.3 us."""
        self.stamp = _NOWHERE
        self.due_at = _NEVER
        """No wait of its requests ends before."""


class Ring:
    """Turns of a lane in the order in which they are served. Entries whose stamp is not their turn's any more are void."""

    __slots__ = ("entries", "lane", "listed", "number")

    def __init__(self, lane: Lane, number: int) -> None:
        self.lane = lane
        self.number = number
        self.entries: deque[tuple[int, Turn]] = deque()
        self.listed = False
        """Whether it is in its class's heap."""


class Lane:
    """Waiting requests of one route in one class, or of one model of it. `came` and `went` count what was put here and what
    was dispatched; nothing else is done for those who ask how long it takes.
    """

    __slots__ = ("behind", "blocked", "came", "front", "lack", "parked", "queue", "retry_at", "turns", "went")

    def __init__(self, queue: ClassQueue, numbers: count[int]) -> None:
        self.queue = queue
        self.front = Ring(self, next(numbers))
        self.behind = Ring(self, next(numbers))
        self.turns: dict[str, Turn] = {}
        self.parked: list[Turn] = []
        """Turns that come again when the route has room."""
        self.blocked = False
        self.lack: Busy | None = None
        """Why it was blocked last."""
        self.retry_at: float | None = None
        """When it is looked at again by itself, then."""
        self.came = 0
        self.went = 0


class ClassQueue:
    """One class. `passed` is its virtual time: the class that has passed least goes next (stride scheduling).

    `parked`: where turns go whose agent has all its calls under way, by agent id; the scheduler unparks them.
    """

    __slots__ = (
        "_heap", "_most_in_flight", "_numbers", "_parked", "_stamp", "_wheel", "behind", "bytes", "front", "idle", "lanes",
        "passed", "priority", "requests", "stride",
    )  # fmt: skip

    def __init__(
        self, priority: Priority, weight: int, most_in_flight: int, parked: defaultdict[str, list[Turn]]
    ) -> None:
        self.priority = priority
        self.stride = 1.0 / weight
        self.passed = 0.0
        self.idle = True
        """It had nothing to give when its turn came."""
        self.requests = 0
        self.bytes = 0
        self.lanes: dict[Route, Lane] = {}
        self.front: list[tuple[int, int, Ring]] = []
        """The rings of lanes that are not known to be blocked, a heap by the stamp of the first turn."""
        self.behind: list[tuple[int, int, Ring]] = []
        """The same of the second rings."""
        self._heap = self.front
        self._most_in_flight = most_in_flight
        self._parked = parked
        self._numbers = count()
        self._stamp = 0
        self._wheel: TimerWheel[Turn] = TimerWheel()

    def put(self, request: PendingRequest, agent: Agent) -> None:
        """It waits from now on, behind the other requests of its agent on its route."""
        lane = self.lanes.get(request.route)
        if lane is None:
            lane = self.lanes[request.route] = Lane(self, self._numbers)
        turn = lane.turns.get(agent.agent_id)
        if turn is None:
            turn = lane.turns[agent.agent_id] = Turn(agent, lane)
            self.append(turn)
        turn.requests.append(request)
        lane.came += 1
        if request.dispatch_by < turn.due_at:
            self._set_due(turn, request.dispatch_by)

    def first(self) -> Turn | None:
        """The turn that is next, left where it is; None if nothing may go now."""
        turn = self._first(self.front, False) if self.front else None
        return self._first(self.behind, True) if turn is None and self.behind else turn

    def _first(self, heap: list[tuple[int, int, Ring]], behind: bool) -> Turn | None:
        while heap:
            listed_stamp, _, ring = heap[0]
            entries = ring.entries
            if not entries or ring.lane.blocked:
                heappop(heap)
                ring.listed = False
                continue
            stamp, turn = entries[0]
            if stamp != turn.stamp:
                entries.popleft()
                continue
            if stamp != listed_stamp:
                heapreplace(heap, (stamp, ring.number, ring))
                continue
            agent = turn.agent
            if turn.requests and agent.in_flight < self._most_in_flight and agent.over <= behind:
                self._heap = heap
                return turn
            entries.popleft()
            self._requeue(turn)
        return None

    def _requeue(self, turn: Turn) -> None:
        turn.stamp = _NOWHERE
        if not turn.requests:
            self._drop(turn)
        elif turn.agent.in_flight >= self._most_in_flight:
            self._parked[turn.agent.agent_id].append(turn)
        else:
            self.append(turn)

    def serve(self, turn: Turn) -> None:
        """Take the first request of the turn that `first` gave; its agent is next when everybody else was."""
        heap = self._heap
        ring = turn.lane.front if heap is self.front else turn.lane.behind
        ring.entries.popleft()
        turn.stamp = _NOWHERE
        turn.requests.pop(0)
        turn.lane.went += 1
        if turn.requests:
            self.append(turn)
        else:
            self._drop(turn)
        if ring.entries and heap[0][2] is ring:
            heapreplace(heap, (ring.entries[0][0], ring.number, ring))

    def take_first(self, turn: Turn) -> None:
        """Take out the first request of the turn that `first` gave; the turn keeps its place."""
        turn.requests.pop(0)

    def park(self, turn: Turn, where: list[Turn]) -> None:
        """Take the turn out of its ring, until the owner of the list unparks it."""
        turn.stamp = _NOWHERE
        where.append(turn)

    def unpark(self, turn: Turn) -> None:
        """A parked turn, to the end of its ring."""
        if turn.requests:
            self.append(turn)
        else:
            self._drop(turn)

    def append(self, turn: Turn) -> None:
        """To the end of the ring in which its agent belongs."""
        ring = turn.lane.behind if turn.agent.over else turn.lane.front
        self._stamp = turn.stamp = stamp = self._stamp + 1
        ring.entries.append((stamp, turn))
        if not ring.listed:
            self._list(ring)

    def remove(self, request: PendingRequest, *, called: bool = False) -> None:
        """Take a request out if it waits; `called`: with another one. Its turn goes when it comes to the front."""
        turn = self.turn_of(request)
        if turn is not None and request in turn.requests:
            turn.requests.remove(request)
            turn.lane.went += called

    def turn_of(self, request: PendingRequest) -> Turn | None:
        """Where its agent's requests on its route stand, the request itself perhaps not among them."""
        lane = self.lanes.get(request.route)
        return lane.turns.get(request.agent_id) if lane is not None else None

    def take_late(self, now: float) -> list[PendingRequest]:
        """Take out the requests whose wait has ended by `now`."""
        late: list[PendingRequest] = []
        for turn in self._wheel.take(now):
            turn.due_at = _NEVER
            late += (request for request in turn.requests if request.dispatch_by <= now)
            turn.requests = [request for request in turn.requests if request.dispatch_by > now]
            if turn.requests:
                self._set_due(turn, min(request.dispatch_by for request in turn.requests))
        return late

    def open(self, route: Route) -> None:
        """The route may have room: its lane is looked at again, and what was parked for it."""
        lane = self.lanes.get(route)
        if lane is None:
            return
        lane.blocked = False
        for ring in (lane.front, lane.behind):
            if not ring.listed and ring.entries:
                self._list(ring)
        parked, lane.parked = lane.parked, []
        for turn in parked:
            self.unpark(turn)

    def move(self, agent: Agent) -> None:
        """The agent is below its threshold again: its turns go from the second ring to the first."""
        for lane in self.lanes.values():
            turn = lane.turns.get(agent.agent_id)
            if turn is not None and turn.stamp != _NOWHERE:
                self.append(turn)

    def drop_empty(self) -> None:
        """Drop lanes with nothing on them: the names of routes may come from outside."""
        for route in [route for route, lane in self.lanes.items() if not lane.turns]:
            del self.lanes[route]

    def by_route(self) -> Iterator[tuple[Route, Iterator[PendingRequest]]]:
        """What waits, by route."""
        for route, lane in self.lanes.items():
            yield route, (request for turn in lane.turns.values() for request in turn.requests)

    def _list(self, ring: Ring) -> None:
        if not ring.lane.blocked:
            ring.listed = True
            heappush(self.behind if ring is ring.lane.behind else self.front, (ring.entries[0][0], ring.number, ring))

    def _set_due(self, turn: Turn, at: float) -> None:
        if turn.due_at != _NEVER:
            self._wheel.discard(turn, turn.due_at)
        turn.due_at = at
        self._wheel.add(turn, at)

    def _drop(self, turn: Turn) -> None:
        if turn.due_at != _NEVER:
            self._wheel.discard(turn, turn.due_at)
            turn.due_at = _NEVER
        if turn.lane.turns.get(turn.agent.agent_id) is turn:
            del turn.lane.turns[turn.agent.agent_id]
