"""Early refusals: requests that are answered with an error instead of being queued, and why. Pure."""

from __future__ import annotations

from streams.flow.agents import AgentRules
from streams.flow.scheduler import Scheduler
from streams.flow.wait_estimate import WaitEstimate
from streams.pipeline import Outcome, PendingRequest, error_outcome


class Refusals:
    """Looks at what waits, and decides whether one more may."""

    def __init__(self, scheduler: Scheduler, estimate: WaitEstimate, *, early: bool) -> None:
        self._scheduler = scheduler
        self._rules: AgentRules = scheduler.agents.rules
        self._wait_estimate = estimate
        self._early = early

    def of(self, request: PendingRequest, now: float) -> Outcome | None:
        """The refusal, or None: it may wait. Its route is known. `now` by the records' clock."""
        if self._scheduler.is_full(request):
            return error_outcome("queue_full", f"too many {request.priority} requests wait", retryable=True)
        if self._scheduler.routes.is_full(request):
            message = f"too many requests for the provider {request.route.provider} wait"
            return error_outcome("queue_full", message, retryable=True)
        tenant = self._scheduler.tenants[request.tenant]
        if tenant.is_full(request.size):
            message = (
                f"the tenant {request.tenant} has as much here as it may (tenants.{request.tenant}.requests, .bytes)"
            )
            return error_outcome("queue_full", message, retryable=True)
        agent, rules = tenant.agents.find(request.agent_id), self._rules
        if agent is not None:
            size = agent.bytes + request.size
            if agent.waiting >= rules.most_waiting or size > min(rules.peak_bytes, rules.most_bytes):
                return error_outcome("queue_full", "too many requests of this agent wait", retryable=True)
        return self._hopeless(request, now) if self._early else None

    def _hopeless(self, request: PendingRequest, now: float) -> Outcome | None:
        """One that cannot be dispatched in time, if things go on as they do."""
        wait_s = self._wait_estimate.wait_s(request.priority, self._ahead(request))
        if wait_s is None or now + wait_s <= request.dispatch_by:
            return None
        message = f"it would wait {wait_s:.1f} s, and its time ends before"
        return error_outcome("deadline", message, retryable=True, status="expired")

    def _ahead(self, request: PendingRequest) -> int:
        """Requests of its class that are dispatched before it: each agent of its tenant has a turn for each of this agent's that
        wait, and meanwhile the other tenants have their shares.
        """
        scheduler = self._scheduler
        agent = scheduler.agents_of(request).find(request.agent_id)
        own = scheduler.queue_of(request.priority).tenants[request.tenant].requests
        ahead = min(own, (0 if agent is None else agent.waiting) * scheduler.turns_waiting(request))
        return int(scheduler.ahead_in_class(request, ahead))
