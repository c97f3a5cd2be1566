"""Who shares a call that is about to begin. Pure."""

from __future__ import annotations

from streams.flow.coalesce import Coalescer
from streams.flow.scheduler import Scheduler
from streams.pipeline import PendingRequest


class Mates:
    """Picks among those that wait and fit. Each takes a token and one of its agent's calls, as if it went alone."""

    def __init__(self, coalescer: Coalescer, scheduler: Scheduler) -> None:
        self._coalescer = coalescer
        self._scheduler = scheduler

    def of(self, request: PendingRequest, most: int, now: float, clock: float) -> list[PendingRequest]:
        """At most `most` of them, by tokens; one that was called before, with others, has had its token. `now` by the records'
        clock, `clock` by the monotonic one.
        """
        mates: list[PendingRequest] = []
        calls: dict[str, int] = {request.agent_id: 1}
        fitting = self._coalescer.fitting(request)
        if not fitting:
            return mates
        tenant = self._scheduler.tenants[request.tenant]  # theirs too: no call is shared with another tenant
        agents, room = tenant.agents, tenant.room(clock) - 1
        for other in fitting:
            if len(mates) >= room:
                break
            own = calls.get(other.agent_id, 0) + 1
            fits = agents[other.agent_id].in_flight + own <= agents.rules.most_in_flight
            fresh = other.dispatched_at is None
            if (most > 0 or not fresh) and fits and other.source.live and other.dispatch_by > now:
                most -= fresh
                calls[other.agent_id] = own
                mates.append(other)
        return mates
