"""A lane, and what stands on it: an agent's requests in a turn, a tenant's turns in their order. Whose turn it is among the lanes
of a class says class_queue.py.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heapreplace
from math import inf
from typing import TYPE_CHECKING, Final

from streams.flow.agents import Agent
from streams.flow.held_up import Standstill
from streams.flow.tenants import Tenant
from streams.pipeline import Busy, PendingRequest

if TYPE_CHECKING:
    from streams.flow.class_queue import ClassQueue

NO_STAMP: Final = -1
"""Of a turn that stands in no ring."""
NEVER: Final = inf


class Turn:
    """One agent's requests on one lane. In one ring at most: `stamp` is its place there."""

    __slots__ = ("agent", "due_at", "lane", "of_tenant", "requests", "stamp")

    def __init__(self, agent: Agent, lane: Lane, of_tenant: TenantTurns) -> None:
        self.agent = agent
        self.lane = lane
        self.of_tenant = of_tenant
        self.requests: list[PendingRequest] = []
        """A list: most are short, and a deque of one takes 0.6 KB. `pop(0)` of a thousand costs 0.3 us."""
        self.stamp = NO_STAMP
        self.due_at = NEVER
        """No wait of its requests ends before."""


class TenantQueue:
    """One tenant in one class. `passed` is its virtual time there: the tenant that has passed least goes next."""

    __slots__ = ("bytes", "number", "passed", "requests", "stride", "tenant")

    def __init__(self, tenant: Tenant, number: int, stride: float) -> None:
        self.tenant = tenant
        self.number = number
        self.stride = stride
        self.passed = 0.0
        self.requests = 0
        self.bytes = 0


class TenantTurns:
    """One tenant's turns on a lane, in the order in which they are served: those behind when there are none in front. Entries
    whose stamp is not their turn's any more are void.
    """

    __slots__ = ("behind", "first_of", "front", "lane", "listed", "queue")

    def __init__(self, lane: Lane, queue: TenantQueue) -> None:
        self.lane = lane
        self.queue = queue
        self.front: deque[tuple[int, Turn]] = deque()
        self.behind: deque[tuple[int, Turn]] = deque()
        self.first_of = self.front
        """Where the turn stands that `first` gave."""
        self.listed = False
        """Whether it is in its lane's heap."""

    def first(self, most_in_flight: int) -> Turn | None:
        """The turn that is next, left where it is; None if nothing may go now."""
        for entries in (self.front, self.behind):
            is_behind = entries is self.behind
            while entries:
                stamp, turn = entries[0]
                if stamp != turn.stamp:
                    entries.popleft()
                    continue
                agent = turn.agent
                if turn.requests and agent.in_flight < most_in_flight and agent.over <= is_behind:
                    self.first_of = entries
                    return turn
                entries.popleft()
                self.lane.queue.requeue(turn)
        return None


class Lane:
    """Waiting requests of one route in one class, or of one model of it. `came` and `went` count what was put here and what
    was dispatched; nothing else is done for those who ask how long it takes.
    """

    __slots__ = (
        "blocked", "came", "floor", "heap", "held_up", "lack", "listed", "number", "of_tenant", "parked", "queue", "retry_at",
        "turns", "went",
    )  # fmt: skip

    def __init__(self, queue: ClassQueue, number: int) -> None:
        self.queue = queue
        self.number = number
        self.of_tenant: dict[TenantQueue, TenantTurns] = {}
        self.heap: list[tuple[float, int, TenantTurns]] = []
        """The tenants that may have something to give, by what they have passed, or had when they were put here."""
        self.listed: Listed | None = None
        """Its place in its class's heap that counts; others are void."""
        self.floor = 0.0
        """The virtual time when it was opened last: nobody is owed what passed while it was blocked."""
        self.turns: dict[Agent, Turn] = {}
        self.parked: list[Turn] = []
        """Turns that come again when the route has room."""
        self.blocked = False
        self.lack: Busy | None = None
        """Why it was blocked last."""
        self.retry_at: float | None = None
        """When it is looked at again by itself, then."""
        self.held_up = Standstill()
        """How long it was blocked, by reason."""
        self.came = 0
        self.went = 0

    def passed(self, queue: TenantQueue) -> float:
        return queue.passed if queue.passed > self.floor else self.floor  # noqa: FURB136 - max() costs 0.1 us

    def first(self, now: float) -> Turn | None:
        """The turn that is next, left where it is; None if nothing may go now."""
        heap, own = self.heap, self.queue
        while heap:
            was, _, turns = heap[0]
            queue = turns.queue
            passed = queue.passed
            if passed < self.floor:
                passed = self.floor
            if passed != was:
                heapreplace(heap, (passed, queue.number, turns))
            elif queue.tenant.has_limits and queue.tenant.lack(now) is not None:
                heappop(heap)
                own.hold(turns, now)
            elif (turn := turns.first(own.most_in_flight)) is None:
                heappop(heap)
                turns.listed = False
            else:
                return turn
        return None


Listed = tuple[float, bool, int, int, Lane]
"""Of a lane's first turn, or less: what its tenant has passed, whether its agent is over, its stamp; the lane."""
