"""Who goes next. Pure and synchronous.

Between the classes: stride scheduling (Waldspurger and Weihl, 1995), so that each that can go gets its weight's share; one
that cannot go yields, and is owed nothing for it later. Inside a class the agents take turns, in a turn it is first come
first served (streams/flow/lanes.py). What is blocked is not looked at until it may have room.

Enqueue and dequeue together cost about 4 us, with 100,000 requests of 10,000 agents waiting as with ten
(`python -m pytest tests/unit/flow/test_scheduler_cost.py -s`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from streams.flow.agents import Agent, Agents
from streams.flow.lanes import ClassQueue, Turn
from streams.flow.ordering import Order, Ordering
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from streams.route_shares import RouteShares
from streams.slots import Slots
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class ClassRules:
    """One class: its weight, and how much of it may wait."""

    weight: int
    most_requests: int
    most_bytes: int


class Scheduler:
    """Requests that wait for dispatch. `classes` in their order: the first is the highest.

    `now` is in seconds of a monotonic clock, except where a deadline is compared: there it is the time of the records.
    """

    def __init__(
        self,
        classes: Mapping[Priority, ClassRules],
        agents: Agents,
        slots: Slots,
        ordering: Ordering = "none",
        shares: RouteShares | None = None,
    ) -> None:
        self.agents = agents
        self.routes = shares or RouteShares(None)
        self._rules = classes
        self.slots = slots
        most = agents.rules.most_in_flight
        self._parked: defaultdict[str, list[Turn]] = defaultdict(list)
        """Turns by agent id that come again when one of the agent's calls has ended."""
        self._retry_at: dict[str, float] = {}
        """When an agent's parked turns come again anyway, by agent id."""
        self._classes = {
            priority: ClassQueue(priority, rules.weight, most, self._parked) for priority, rules in classes.items()
        }
        self._in_order = tuple(self._classes.values())
        self._rank = {priority: rank for rank, priority in enumerate(classes)}
        self._order = Order(ordering) if ordering != "none" else None
        self._retries: list[tuple[float, Route, str]] = []
        """When to look again at which route, and at what was parked of which agent."""
        self._passed = 0.0
        self._turn: Turn | None = None

    # ---- in

    def is_full(self, request: PendingRequest) -> bool:
        """Whether its class has as much waiting as it may."""
        queue, rules = self._classes[request.priority], self._rules[request.priority]
        return queue.requests >= rules.most_requests or queue.bytes + request.size > rules.most_bytes

    def put(self, request: PendingRequest, *, held: bool = False) -> None:
        """It waits from now on. Its route is known. `held`: it goes nowhere before `let_go`."""
        queue = self._classes[request.priority]
        queue.requests += 1
        queue.bytes += request.size
        self.routes.put(request)
        agent = self.agents.add(request.agent_id, request.size)
        if not held and (self._order is None or self._order.enter(request)):
            queue.put(request, agent)

    def let_go(self, request: PendingRequest) -> None:
        """A request that was held may go."""
        self._classes[request.priority].put(request, self.agents[request.agent_id])

    # ---- out

    def first(self, now: float) -> PendingRequest | None:
        """The request that goes next, left where it is; None if none may go now. Then `start`, `block` or `remove` it."""
        while self._retries and self._retries[0][0] <= now:
            _, route, agent_id = heappop(self._retries)
            self.open(route)
            if self._retry_at.pop(agent_id, None) is not None:
                self._unpark(agent_id)
        best: ClassQueue | None = None
        for queue in self._in_order:
            if not (queue.front or queue.behind):
                queue.idle = True
                continue
            if queue.idle:  # it is not owed what passed without it
                queue.idle = False
                if queue.passed < self._passed:
                    queue.passed = self._passed
            if best is None or queue.passed < best.passed:
                best = queue
        if best is None:
            return None
        if self.slots.has_room(best.priority):
            self._turn = turn = best.first()
            if turn is not None:
                return turn.requests[0]
        return self._first_of_others(best)

    def _first_of_others(self, out_of_turn: ClassQueue) -> PendingRequest | None:
        """The class whose turn it is has nothing that may go."""
        out_of_turn.idle = True
        for queue in sorted(self._in_order, key=lambda queue: queue.passed):
            if queue is not out_of_turn and (queue.front or queue.behind):
                if self.slots.has_room(queue.priority):
                    self._turn = turn = queue.first()
                    if turn is not None:
                        return turn.requests[0]
                queue.idle = True
        return None

    def start(self, request: PendingRequest, now: float) -> None:
        """The request that `first` gave is called now."""
        turn = self._turn
        assert turn is not None
        queue = self._classes[request.priority]
        self._passed = queue.passed
        queue.passed += queue.stride
        self.agents.begin(turn.agent, now)
        queue.serve(turn)
        queue.requests -= 1
        queue.bytes -= request.size
        self.routes.take(request)

    def join(self, request: PendingRequest, now: float) -> None:
        """A waiting request, first or not, is called together with another one."""
        queue = self._classes[request.priority]
        queue.passed += queue.stride
        self.agents.begin(self.agents[request.agent_id], now)
        queue.remove(request, called=True)
        queue.requests -= 1
        queue.bytes -= request.size
        self.routes.take(request)

    def block(self, request: PendingRequest, busy: Busy, now: float) -> None:
        """The request that `first` gave cannot go now: nor can the others that `busy` speaks of."""
        turn = self._turn
        assert turn is not None
        queue = self._classes[request.priority]
        if busy.scope == "model" and not request.route.model:
            queue.take_first(turn)
            request.route = request.route.apart(request.request.payload["model"])
            queue.put(request, turn.agent)
        route = request.route
        at = None if busy.retry_in_s is None else now + busy.retry_in_s
        if busy.scope == "agent":  # what it waits for is its own calls' to give back
            agent = turn.agent
            agent.most_seen = max(1, agent.in_flight)
            by_agent = agent.in_flight or at is not None
            queue.park(turn, self._parked[agent.agent_id] if by_agent else turn.lane.parked)
            if at is not None and at < self._retry_at.get(agent.agent_id, inf):
                self._retry_at[agent.agent_id] = at
                heappush(self._retries, (at, route, agent.agent_id))
        else:
            rank = self._rank[request.priority] if busy.scope == "class" else 0
            for other in self._in_order[rank:]:
                lane = other.lanes.get(route)
                if lane is not None:
                    lane.blocked, lane.lack, lane.retry_at = True, busy, at
            if at is not None:
                heappush(self._retries, (at, route, ""))

    def open(self, route: Route) -> None:
        """The route may have room."""
        for queue in self._in_order:
            queue.open(route)

    @property
    def next_retry_at(self) -> float | None:
        """When a blocked route is looked at again by itself."""
        return self._retries[0][0] if self._retries else None

    def end(self, request: PendingRequest, now: float) -> None:
        """A call that was started or joined has ended."""
        agent = self.agents[request.agent_id]
        self.agents.end(agent, request.size, now)
        self._follow(request, agent)
        if self._parked and agent.in_flight < self.agents.rules.most_in_flight:
            self._unpark(agent.agent_id)

    def remove(self, request: PendingRequest, now: float) -> None:
        """A waiting request, wherever it is, is given up."""
        queue, agent = self._classes[request.priority], self.agents[request.agent_id]
        queue.remove(request)
        queue.requests -= 1
        queue.bytes -= request.size
        self.routes.take(request)
        self.agents.remove(agent, request.size, now)
        self._follow(request, agent)

    def take_late(self, records_now: float, now: float) -> list[PendingRequest]:
        """Take out what waits no longer; `records_now` is the time by the records' clock."""
        late = [] if self._order is None else self._order.take_late(records_now)
        for queue in self._in_order:
            late += queue.take_late(records_now)
        for request in late:
            self.remove(request, now)
        return late

    def maintain(self, now: float) -> None:
        """Every now and then: agents that are below their threshold again come back, idle ones are forgotten."""
        for agent in self.agents.recover(now):
            for queue in self._in_order:
                queue.move(agent)
        self.agents.forget(now)
        for queue in self._in_order:
            queue.drop_empty()

    # ---- what waits

    @property
    def queues(self) -> Sequence[ClassQueue]:
        """The classes, the highest first; to be looked at only."""
        return self._in_order

    def queue_of(self, priority: Priority) -> ClassQueue:
        return self._classes[priority]

    def chain_of(self, request: PendingRequest) -> tuple[PendingRequest, int] | None:
        """Of a request that is held back by its order: who goes first of its chain, and how many others do before it."""
        return None if self._order is None else self._order.ahead_of(request)

    def __len__(self) -> int:
        return sum(queue.requests for queue in self._in_order)

    def __iter__(self) -> Iterator[PendingRequest]:
        """Everything that waits, in no order; takes time in proportion."""
        yield from self._order or ()
        for queue in self._in_order:
            for _, requests in queue.by_route():
                yield from requests

    def waiting(self) -> dict[Priority, int]:
        """Requests by class."""
        return {priority: queue.requests for priority, queue in self._classes.items()}

    def agents_waiting(self, priority: Priority) -> int:
        """How many turns there are in a class: agents, one with requests on two routes twice."""
        return sum(len(lane.turns) for lane in self._classes[priority].lanes.values())

    def waiting_by_route(self) -> dict[Route, dict[Priority, tuple[int, int]]]:
        """Requests and tokens by route and class; takes time in proportion.

        What is held back by its order is not among them: it could not go.
        """
        by_route: dict[Route, dict[Priority, tuple[int, int]]] = {}
        for priority, queue in self._classes.items():
            for route, waiting in queue.by_route():
                tokens = [request.estimate.tokens for request in waiting]
                if tokens:
                    by_class = by_route.setdefault(route.whole, {})
                    requests, sum_of_tokens = by_class.get(priority, (0, 0))
                    by_class[priority] = (requests + len(tokens), sum_of_tokens + sum(tokens))
        return by_route

    # ---- inside

    def _follow(self, request: PendingRequest, agent: Agent) -> None:
        following = None if self._order is None else self._order.leave(request)
        if following is not None:
            self._classes[following.priority].put(following, agent)

    def _unpark(self, agent_id: str) -> None:
        for turn in self._parked.pop(agent_id, ()):
            turn.lane.queue.unpark(turn)
