"""What flow tells of requests that somebody asks for: in a call or waiting, for what, at which place, how long yet.

Read when it is asked: nothing is noted for it on the way. A question costs microseconds a request and less than one for each
turn (an agent on a route) of the queues that are asked for. Such a picture of a queue is used again for fifty times as long as
it took, so that whoever asks, and however often, takes at most a fiftieth of the worker's time for each queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from heapq import nlargest
from math import inf
from operator import add
from time import perf_counter
from typing import Final

from streams.flow.calls import Calls
from streams.flow.class_queue import ClassQueue
from streams.flow.coalesce import Coalescer
from streams.flow.lanes import Lane, TenantQueue, Turn
from streams.flow.parts import Parts
from streams.flow.predicted_wait import ClassLoad, seconds_until
from streams.flow.scheduler import Scheduler
from streams.flow.stats import WaitingFor
from streams.flow.throughput import Throughput
from streams.flow.turn_order import TurnOrder
from streams.limits import Route
from streams.pipeline import PendingRequest
from streams.waits import QueueState, Reason
from topics.names import Priority

MOST_WAITING_FOR: Final = 100
_REST: Final = 50
_NO_PREDICTION: Final[frozenset[Reason]] = frozenset({"endpoints_down", "membership", "input_size", "class_paused"})
"""Nobody knows how long these last."""

_Where = tuple[Priority, Route | None, str | None]
"""A queue: a class and a route that is blocked by itself, or all routes of the class that are not; of a tenant, or of all."""


class QueueStates:
    """`in_doubt`: whether nothing is dispatched because the worker may have lost its partitions. `why_not`: which endpoints
    get no calls for a request, in words.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        coalescer: Coalescer,
        calls: Calls,
        parts: Parts,
        clock: Callable[[], float],
        now: Callable[[], float],
        in_doubt: Callable[[], bool],
        why_not: Callable[[PendingRequest], str],
    ) -> None:
        self._scheduler = scheduler
        self._coalescer = coalescer
        self._calls = calls
        self._parts = parts
        self._throughput = Throughput(clock())
        self._clock = clock
        self._now = now
        self._in_doubt = in_doubt
        self._why_not = why_not
        self.short_of_tokens = False
        """Whether it was the admission rate that ended the last round of dispatches; said by whoever dispatches."""
        self._pictures: dict[_Where, tuple[float, TurnOrder]] = {}
        """Each with the moment until which it is used."""
        self._waiting_for: tuple[float, Sequence[WaitingFor]] = (0.0, ())

    def tick(self, now: float) -> None:
        """Every 0.1 s or so, by the monotonic clock, before the scheduler is maintained."""
        self._throughput.tick(self._scheduler, now)

    def ended(self, request: PendingRequest) -> None:
        """Its call has ended."""
        if request.dispatched_at is not None:
            self._throughput.ended(request.route, self._now() - request.dispatched_at)

    def tell(self, requests: Sequence[PendingRequest]) -> list[QueueState]:
        """See `FlowStates`."""
        places: dict[Turn, dict[PendingRequest, int]] = {}
        return [self._tell(self._first_part(request), places) for request in requests]

    def waiting_for(self) -> Sequence[WaitingFor]:
        """What waits, by class and reason, the most first; the reason of a turn's first request is that of all of them.

        Takes time for each turn, so it is used for fifty times as long as it took. At most MOST_WAITING_FOR are told.
        """
        began = perf_counter()
        if began < self._waiting_for[0]:
            return self._waiting_for[1]
        told = self._by_reason()
        ended = perf_counter()
        self._waiting_for = (ended + _REST * (ended - began), told)
        return told

    def _by_reason(self) -> Sequence[WaitingFor]:
        found: dict[tuple[Priority, Reason, str], tuple[int, float]] = {}
        for queue in self._scheduler.queues:
            in_turns = 0
            for lane in queue.lanes.values():
                for turn in lane.turns.values():
                    if not turn.requests:
                        continue
                    first = turn.requests[0]
                    key = (queue.priority, *self._reason(turn, queue, queue.priority, first))
                    count, oldest_at = found.get(key, (0, first.received_at))
                    found[key] = (count + len(turn.requests), min(oldest_at, first.received_at))
                    in_turns += len(turn.requests)
            ordered = [each.received_at for each in self._scheduler.in_order if each.priority == queue.priority]
            if ordered:
                found[queue.priority, "order", ""] = (len(ordered), min(ordered))
            if (
                lingering := queue.requests - in_turns - len(ordered)
            ) > 0:  # for some milliseconds: their age is not told
                found[queue.priority, "merging", ""] = (lingering, inf)
        now = self._now()
        told = [
            WaitingFor(*key, count, None if at == inf else round(max(0.0, now - at), 3))
            for key, (count, at) in found.items()
        ]
        return nlargest(MOST_WAITING_FOR, told, key=lambda each: each.requests)

    def waited_for(self, request: PendingRequest) -> tuple[Reason, str]:
        """What one that was just taken out of the queue had waited for, and of what. O(1): many end at once."""
        queue = self._scheduler.queue_of(request.priority)
        turn = queue.turn_of(request)
        if turn is None:
            return ("order", "") if self._scheduler.chain_of(request) is not None else ("turn", "")
        if turn.lane.blocked and turn.lane.lack is not None:
            lack = turn.lane.lack
            return lack.lack, f"{request.route.whole}" + (f", {lack.of}" if lack.of else "")
        return self._reason(turn, queue, request.priority, request)

    def unread_s(self, priority: Priority, ahead: int) -> float | None:
        """See `FlowStates`. By all routes that are not blocked, or all of them where none is open."""
        queue = self._scheduler.queue_of(priority)
        open_lanes = [lane for lane in queue.lanes.values() if not lane.blocked]
        where: _Where = (priority, None, None)
        picture = self._picture(where, open_lanes or list(queue.lanes.values()))
        routes = [route for route, lane in queue.lanes.items() if not (open_lanes and lane.blocked)]
        return self._fluid_s(queue, routes, picture.requests + ahead)

    def _first_part(self, request: PendingRequest) -> PendingRequest:
        parts = self._parts.open_of(request) if request.request.operation == "embeddings" else ()
        return parts[0] if parts else request

    def _tell(self, request: PendingRequest, places: dict[Turn, dict[PendingRequest, int]]) -> QueueState:
        call = self._calls.of(request)
        if call is not None:
            attending = call.permit.attending()
            doing = None if attending is None or attending.doing == "attempt" else attending.doing
            return QueueState("call", doing, attending=attending)
        queue = self._scheduler.queue_of(request.priority)
        turn = queue.turn_of(request)
        own = None if turn is None else _index(turn, request, places)
        if turn is None or own is None:
            return self._held(request, queue, places)
        reason, detail = self._reason(turn, queue, request.priority, turn.requests[0])
        picture = self._picture_of(turn, request.route, queue)
        ahead = picture.ahead(turn, own)
        predicted_s = None
        if reason not in _NO_PREDICTION:
            before = self._scheduler.ahead_in_class(request, ahead)
            predicted_s = self._predicted_s(request, turn, queue, own, before)
        return QueueState("queue", reason, ahead + 1, predicted_s, detail=detail)

    def _reason(self, turn: Turn, queue: ClassQueue, priority: Priority, head: PendingRequest) -> tuple[Reason, str]:
        """What the request at the head of a turn waits for, and with it those behind it."""
        agent, lane = turn.agent, turn.lane
        if self._in_doubt():
            return "membership", ""
        if queue.paused:
            return "class_paused", ""
        if agent.in_flight >= self._scheduler.agents.rules.most_in_flight:
            return "agent_calls", ""
        if turn.stamp < 0:
            return "agent_connections", ""
        tenant = turn.of_tenant.queue.tenant
        if tenant.has_limits and (tenant_lacks := tenant.lack(self._clock())) is not None:
            return tenant_lacks, tenant.rules.name
        if agent.over and self._somebody_is_before(turn, queue):
            return "agent_over", ""
        if lane.blocked:
            lack = lane.lack
            if lack is None:
                return "unknown", ""
            detail = f"{head.route.whole}" + (f", {lack.of}" if lack.of else "")
            return lack.lack, self._why_not(head) or detail if lack.lack == "endpoints_down" else detail
        slots = self._scheduler.slots
        if not slots.has_room(priority):
            return ("worker_calls" if slots.taken >= slots.size else "kept_for_high"), ""
        return ("admission_rate" if self.short_of_tokens else "turn"), ""

    def _somebody_is_before(self, turn: Turn, queue: ClassQueue) -> bool:
        """Whether agents of the same tenant that are over no threshold wait for the same."""
        lane, tenant = turn.lane, turn.of_tenant.queue
        lanes = [lane] if lane.blocked else [each for each in queue.lanes.values() if not each.blocked]
        found = [of_tenant for each in lanes if (of_tenant := each.of_tenant.get(tenant)) is not None]
        return any(stamp == other.stamp for each in found for stamp, other in each.front)

    def _held(
        self, request: PendingRequest, queue: ClassQueue, places: dict[Turn, dict[PendingRequest, int]]
    ) -> QueueState:
        """One that waits and stands in no turn."""
        if (left_s := self._coalescer.lingers_s(request, self._clock())) is not None:
            return QueueState("queue", "merging", None, left_s)
        chain = self._scheduler.chain_of(request)
        if chain is None:
            return QueueState("queue", "input_size" if self._coalescer.holds(request) else "turn")
        first, others = chain
        call_s = self._call_s(request.route)
        predicted_s = None
        if call_s is not None:
            if first.dispatched_at is not None:
                first_s: float | None = max(0.0, call_s - (self._now() - first.dispatched_at))
            else:
                first_s = self._tell(first, places).predicted_s
                first_s = None if first_s is None else first_s + call_s
            lane = queue.lanes.get(request.route)
            turn_s = self._fluid_s(queue, [request.route], len(lane.turns)) if lane is not None else 0.0
            if first_s is not None and turn_s is not None:
                predicted_s = first_s + others * (call_s + turn_s) + turn_s
        return QueueState("queue", "order", others + 2, predicted_s)

    # ---- how long yet

    def _predicted_s(
        self, request: PendingRequest, turn: Turn, queue: ClassQueue, own: int, ahead: float
    ) -> float | None:
        lane, agent = turn.lane, turn.agent
        routes = [request.route]
        if not lane.blocked:
            routes = [route for route, each in queue.lanes.items() if not each.blocked]
        waits_s = self._fluid_s(queue, routes, ahead)
        if lane.blocked and lane.retry_at is not None and waits_s is not None:
            waits_s += max(0.0, lane.retry_at - self._clock())
        most = min(self._scheduler.agents.rules.most_in_flight, agent.most_seen)
        if agent.in_flight + own < most:
            return waits_s
        call_s = self._call_s(request.route)
        own_s = None if call_s is None else (agent.in_flight + own + 1 - most) * call_s / most
        if turn.stamp < 0 or waits_s is None:
            return own_s
        return waits_s if own_s is None else max(waits_s, own_s)

    def _call_s(self, route: Route) -> float | None:
        found = self._throughput.call_s(route)
        return self._throughput.call_s(route.whole) if found is None else found

    def _fluid_s(self, queue: ClassQueue, routes: Sequence[Route], ahead: float) -> float | None:
        """Seconds until `ahead` requests of the class and one more have gone, on these routes together."""
        known = [rates for route in routes if (rates := self._throughput.of(route)) is not None]
        if not known:
            return None
        rates = reduce(add, known)
        loads: list[ClassLoad] = []
        own = 0
        for at, other in enumerate(self._scheduler.queues):
            if other is queue:
                own = at
                loads.append(ClassLoad(1 / other.stride, ahead, 0.0))
                continue
            waiting = sum(
                self._picture((other.priority, route, None), [lane]).requests
                for route in routes
                if (lane := other.lanes.get(route)) is not None
            )
            loads.append(ClassLoad(1 / other.stride, waiting, rates.came.get(other.priority, 0.0)))
        return seconds_until(ahead, own, loads, rates.dispatched)

    # ---- pictures

    def _picture_of(self, turn: Turn, route: Route, queue: ClassQueue) -> TurnOrder:
        lane, of = turn.lane, turn.of_tenant.queue
        name = of.tenant.rules.name
        if lane.blocked:
            return self._picture((queue.priority, route, name), [lane], of)
        lanes = [each for each in queue.lanes.values() if not each.blocked]
        return self._picture((queue.priority, None, name), lanes, of)

    def _picture(self, where: _Where, lanes: Sequence[Lane], of: TenantQueue | None = None) -> TurnOrder:
        began = perf_counter()
        known = self._pictures.get(where)
        if known is not None and began < known[0]:
            return known[1]
        made = TurnOrder(lanes, of)
        ended = perf_counter()
        if len(self._pictures) > 1_000:
            self._pictures.clear()
        self._pictures[where] = (ended + _REST * (ended - began), made)
        return made


def _index(turn: Turn, request: PendingRequest, places: dict[Turn, dict[PendingRequest, int]]) -> int | None:
    """Its place in its turn; None where it is not there. Each turn is walked through once a question."""
    known = places.get(turn)
    if known is None:
        known = places[turn] = {each: index for index, each in enumerate(turn.requests)}
    return known.get(request)
