"""The waiting requests of one class: lanes by route, in a lane the tenants by their weights, in a tenant the agents in turns,
first come first served in a turn.

Each turn has a stamp, its place among its tenant's, whatever its lane. The lane goes next whose first tenant has passed least;
of two with the same tenant the one whose first turn has the lower stamp. A lane can be blocked as a whole, so that what waits
for a full provider is not even looked at, however many tenants wait there. An agent over its threshold has its turns behind
those of its tenant's others: they are served when these have nothing.
The heaps hold what was true when something was put there, and what is true now is never less: it is put right at the top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Final

from streams.flow.agents import Agent
from streams.flow.lanes import NEVER, NO_STAMP, Lane, Listed, TenantQueue, TenantTurns, Turn
from streams.flow.tenants import Tenant
from streams.flow.timer_wheel import TimerWheel
from streams.limits import Route
from streams.pipeline import Busy, PendingRequest
from streams.trace.marks import Wait
from topics.names import Priority

NO_CONNECTION: Final[Wait] = ("agent_connections", "")
"""Why a turn is parked until one of its agent's calls has ended."""


class ClassQueue:
    """One class. `passed` is its virtual time: the class that has passed least goes next (stride scheduling). So do the tenants
    inside it.

    `parked`: where turns go whose agent has all its calls under way, by agent; the scheduler unparks them. `hold` is called with
    the turns of a tenant that is at a limit of its own.
    """

    __slots__ = (
        "_numbers", "_parked", "_stamp", "_wheel", "bytes", "heap", "hold", "idle", "lanes", "most_in_flight", "now", "passed",
        "paused", "priority", "requests", "stride", "tenants",
    )  # fmt: skip

    def __init__(
        self,
        priority: Priority,
        weight: int,
        most_in_flight: int,
        parked: defaultdict[Agent, list[Turn]],
        tenants: Mapping[str, Tenant],
        hold: Callable[[TenantTurns, float], None],
    ) -> None:
        self.priority = priority
        self.stride = 1.0 / weight
        self.passed = 0.0
        self.idle = True
        """It had nothing to give when its turn came."""
        self.paused = False
        """Somebody has paused the class: nothing of it goes, and it is not owed what passes without it."""
        self.requests = 0
        self.bytes = 0
        self.lanes: dict[Route, Lane] = {}
        self.heap: list[Listed] = []
        """The lanes that are not known to be blocked."""
        self.tenants = {
            # Alone it need not be counted what it has passed.
            name: TenantQueue(tenant, number, 1.0 / tenant.rules.weight if len(tenants) > 1 else 0.0)
            for number, (name, tenant) in enumerate(tenants.items())
        }
        self.now = 0.0
        """Virtual time inside the class: what the tenant had passed that went last."""
        self.most_in_flight = most_in_flight
        self.hold = hold
        self._parked = parked
        self._numbers = count()
        self._stamp = 0
        self._wheel: TimerWheel[Turn] = TimerWheel()

    def came(self, request: PendingRequest) -> Tenant:
        """Count a request that waits from now on; whose it is."""
        self.requests += 1
        self.bytes += request.size
        queue = self.tenants[request.tenant]
        if not queue.requests and queue.passed < self.now:  # it is not owed what passed without it
            queue.passed = self.now
        queue.requests += 1
        queue.bytes += request.size
        return queue.tenant

    def went(self, request: PendingRequest) -> None:
        """Count a request that waits no longer."""
        self.requests -= 1
        self.bytes -= request.size
        queue = self.tenants[request.tenant]
        queue.requests -= 1
        queue.bytes -= request.size

    def put(self, request: PendingRequest, agent: Agent) -> None:
        """It waits from now on, behind the other requests of its agent on its route."""
        lane = self.lanes.get(request.route)
        if lane is None:
            lane = self.lanes[request.route] = Lane(self, next(self._numbers))
        turn = lane.turns.get(agent)
        if turn is None:
            queue = self.tenants[request.tenant]
            of_tenant = lane.of_tenant.get(queue)
            if of_tenant is None:
                of_tenant = lane.of_tenant[queue] = TenantTurns(lane, queue)
            turn = lane.turns[agent] = Turn(agent, lane, of_tenant)
            self.append(turn)
        turn.requests.append(request)
        lane.came += 1
        if request.dispatch_by < turn.due_at:
            self._set_due(turn, request.dispatch_by)

    def first(self, now: float) -> Turn | None:
        """The turn that is next, left where it is; None if nothing may go now."""
        heap = self.heap
        while heap:
            listed = heap[0]
            lane = listed[4]
            if listed is not lane.listed:
                heappop(heap)
                continue
            turn = None if lane.blocked else lane.first(now)
            if lane.listed is not listed:  # a turn went to another place of it
                continue
            if turn is None:
                heappop(heap)
                lane.listed = None
                continue
            if turn.stamp == listed[2] and lane.passed(turn.of_tenant.queue) == listed[0]:
                return turn
            key = (lane.passed(turn.of_tenant.queue), turn.agent.over, turn.stamp, lane.number, lane)
            lane.listed = key
            heapreplace(heap, key)
            if heap[0] is key:
                return turn
        return None

    def requeue(self, turn: Turn) -> None:
        """A turn that was taken out of its ring and cannot go now."""
        turn.stamp = NO_STAMP
        if not turn.requests:
            self._drop(turn)
        elif turn.agent.in_flight >= self.most_in_flight:
            self._parked[turn.agent].append(turn)
        else:
            self.append(turn)

    def serve(self, turn: Turn) -> None:
        """Take the first request of the turn that `first` gave; its agent is next when everybody else of its tenant was."""
        lane, of_tenant = turn.lane, turn.of_tenant
        queue = of_tenant.queue
        of_tenant.first_of.popleft()
        turn.stamp = NO_STAMP
        turn.requests.pop(0)
        lane.went += 1
        self.now = lane.passed(queue)
        queue.passed = self.now + queue.stride
        if turn.requests:
            self.append(turn)
        else:
            self._drop(turn)
        if len(lane.heap) == 1 and self.heap[0] is lane.listed and (left := of_tenant.front or of_tenant.behind):
            # Else it is put right when it comes to the top.
            lane.listed = (lane.passed(queue), left is of_tenant.behind, left[0][0], lane.number, lane)
            heapreplace(self.heap, lane.listed)

    def take_first(self, turn: Turn) -> None:
        """Take out the first request of the turn that `first` gave; the turn keeps its place."""
        turn.requests.pop(0)

    def park(self, turn: Turn, where: list[Turn]) -> None:
        """Take the turn out of its ring, until the owner of the list unparks it."""
        turn.stamp = NO_STAMP
        where.append(turn)

    def unpark(self, turn: Turn, now: float) -> None:
        """A parked turn, to the end of its ring."""
        turn.agent.held_up.clear(NO_CONNECTION, now)
        if turn.requests:
            self.append(turn)
        else:
            self._drop(turn)

    def append(self, turn: Turn) -> None:
        """To the end of the ring in which its agent belongs."""
        turns, is_over = turn.of_tenant, turn.agent.over
        self._stamp = turn.stamp = stamp = self._stamp + 1
        (turns.behind if is_over else turns.front).append((stamp, turn))
        listed = turn.lane.listed
        if listed is None or not turns.listed or listed[1] > is_over or listed[0] > turns.queue.passed:
            self.list_turns(turns, is_over, stamp)  # else something that goes before it stands there

    def list_turns(self, turns: TenantTurns, is_over: bool = False, stamp: int = 0) -> None:
        """A tenant may have something to give on a lane: this turn at the earliest."""
        lane = turns.lane
        passed = lane.passed(turns.queue)
        if not turns.listed:
            turns.listed = True
            heappush(lane.heap, (passed, turns.queue.number, turns))
        if not lane.blocked:
            listed = lane.listed
            key = (passed, is_over, stamp, lane.number, lane)
            if listed is None or key < listed:
                lane.listed = key
                heappush(self.heap, key)

    def remove(self, request: PendingRequest, *, called: bool = False) -> None:
        """Take a request out if it waits; `called`: with another one. Its turn goes when it comes to the front."""
        turn = self.turn_of(request)
        if turn is not None and request in turn.requests:
            turn.requests.remove(request)
            turn.lane.went += called

    def turn_of(self, request: PendingRequest) -> Turn | None:
        """Where its agent's requests on its route stand, the request itself perhaps not among them."""
        lane = self.lanes.get(request.route)
        agent = self.tenants[request.tenant].tenant.agents.find(request.agent_id)
        return lane.turns.get(agent) if lane is not None and agent is not None else None

    def take_late(self, now: float) -> list[PendingRequest]:
        """Take out the requests whose wait has ended by `now`."""
        late: list[PendingRequest] = []
        for turn in self._wheel.take(now):
            turn.due_at = NEVER
            late += (request for request in turn.requests if request.dispatch_by <= now)
            turn.requests = [request for request in turn.requests if request.dispatch_by > now]
            if turn.requests:
                self._set_due(turn, min(request.dispatch_by for request in turn.requests))
        return late

    def block(self, route: Route, busy: Busy, retry_at: float | None, now: float) -> None:
        """The route has no room: its lane is not looked at before `open`."""
        lane = self.lanes.get(route)
        if lane is not None:
            lane.blocked, lane.lack, lane.retry_at = True, busy, retry_at
            lane.held_up.set((busy.lack, busy.of), now)

    def open(self, route: Route, now: float) -> None:
        """The route may have room: its lane is looked at again, and what was parked for it."""
        lane = self.lanes.get(route)
        if lane is None:
            return
        if lane.blocked:
            lane.blocked = False
            lane.held_up.set(None, now)
            lane.floor = max(lane.floor, self.now)
            if lane.heap and lane.listed is None:
                lane.listed = (max(lane.heap[0][0], lane.floor), False, 0, lane.number, lane)
                heappush(self.heap, lane.listed)
        parked, lane.parked = lane.parked, []
        for turn in parked:
            self.unpark(turn, now)

    def move(self, agent: Agent) -> None:
        """The agent is below its threshold again: its turns go from the second ring to the first."""
        for lane in self.lanes.values():
            turn = lane.turns.get(agent)
            if turn is not None and turn.stamp != NO_STAMP:
                self.append(turn)

    def drop_empty(self) -> None:
        """Drop lanes with nothing on them: the names of routes may come from outside."""
        for route in [route for route, lane in self.lanes.items() if not lane.turns]:
            del self.lanes[route]

    def by_route(self) -> Iterator[tuple[Route, Iterator[PendingRequest]]]:
        """What waits, by route."""
        for route, lane in self.lanes.items():
            yield route, (request for turn in lane.turns.values() for request in turn.requests)

    def _set_due(self, turn: Turn, at: float) -> None:
        if turn.due_at != NEVER:
            self._wheel.discard(turn, turn.due_at)
        turn.due_at = at
        self._wheel.add(turn, at)

    def _drop(self, turn: Turn) -> None:
        if turn.due_at != NEVER:
            self._wheel.discard(turn, turn.due_at)
            turn.due_at = NEVER
        if turn.lane.turns.get(turn.agent) is turn:
            del turn.lane.turns[turn.agent]
