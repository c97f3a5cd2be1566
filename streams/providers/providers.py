"""All providers of a worker, as flow sees them: routes, permits, and notifications of capacity."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from streams.limits import UNLIMITED, Route
from streams.limits.token_estimate import TokenEstimator
from streams.money.budgets import Budgets
from streams.money.costs import Costs
from streams.pipeline import Busy, DeltaWriter, Outcome, PendingRequest, error_outcome, expired
from streams.providers.agent_connections import AgentConnections
from streams.providers.attempts import label
from streams.providers.call import ProviderCall
from streams.providers.endpoint import Endpoint
from streams.providers.failover import Failover
from streams.providers.formats.wire import Failure
from streams.providers.payers import payer_of
from streams.providers.provider import Provider
from streams.providers.resumption import Resumption, resumes
from streams.providers.room import Room
from streams.providers.routes import Routes, Stage
from streams.providers.target import Attempt, NoCapacity
from streams.providers.upstream_cancels import UpstreamCancels
from streams.settings import Settings
from streams.trace.marks import CallContext

Contexts = Callable[[PendingRequest], CallContext | None]
"""The trace context that calls for a request bear."""


class Providers:
    """Gives calls to the first provider in the order of the request's model that has everything one needs.

    A provider that cannot take a call now, because its endpoints are ill, its slots taken or its limits reached, is passed
    over; the request waits only where none can.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        routes: Routes,
        agents: AgentConnections,
        tokens: TokenEstimator,
        now: Callable[[], float],
        deltas: DeltaWriter,
        costs: Costs,
        budgets: Budgets | None = None,
        contexts: Contexts = lambda _: None,
    ) -> None:
        self.all = providers
        self._routes = routes
        self._agents = agents
        self._tokens = tokens
        self._now = now
        self._deltas = deltas
        self.costs = costs
        self._budgets = budgets
        self._contexts = contexts
        self.cancels = UpstreamCancels()
        self.look_at_keys: Callable[[], None] = lambda: None
        """Key files are read again at once."""
        self.prepare: Callable[[Settings], Callable[[], None]] = lambda _: lambda: None
        """What takes new settings over, if they can be taken; raises SettingsError."""
        self._room: Room[Attempt] = Room(Attempt.give_all_back)
        for provider in providers:
            provider.budget.on_room(lambda _: self._room.open())

    def listen(self, endpoint: Endpoint) -> None:
        """Whoever waits looks again when the state of this endpoint has changed."""
        endpoint.on_change = self._room.open

    def look_again(self) -> None:
        """The endpoints are others: whoever waits looks again."""
        self._room.open()

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that was Busy may have room."""
        self._room.tell = tell

    def route(self, request: PendingRequest) -> Route | Outcome:
        """The route of the first provider that serves the request; an outcome if none does. Sets the request's estimate."""
        stages = self._stages(request)
        if not stages:
            model: str = request.request.payload["model"]
            return error_outcome(
                "invalid_request", f"no provider serves {request.request.operation} of the model {model!r}"
            )
        if self._budgets is not None:
            payer = payer_of(request)
            request.payer = repr(payer) if self._budgets.accounts_of(payer) else ""
            refused = self._budgets.used_up(payer)
            if refused is not None:
                return error_outcome("budget_exceeded", refused.message, retryable=refused.later)
        targets = [target for stage in stages for target in stage]
        if any(
            target.provider.budget is not UNLIMITED or target.window for target in targets
        ):  # else nobody asks for it
            body = request.request
            caller = body.conversation_id or request.agent_id
            if request.tenant:
                caller = f"{request.tenant}:{caller}"
            request.estimate = self._tokens.estimate(body.operation, body.payload, caller)
            never = [target.provider.budget.too_large(target.route, request.estimate) for target in targets]
            if never[0] is not None and None not in never:
                return error_outcome("exceeds_limit", never[0].message)
        return targets[0].route

    def reserve(self, request: PendingRequest) -> ProviderCall | Outcome | Busy:
        """The right to one call; an outcome if it can never be made; Busy if it has to wait."""
        if not self._agents.free(request.owner):
            left_s = self._agents.left_s(request.owner, request.request_id, time.monotonic())
            if left_s <= 0:
                return expired("in the queue, for one of its agent's connections")
            self._room.busy(request.route)
            return Busy("agent", left_s, "agent_connections")
        failover = Failover(request, self._stages(request))
        down: list[NoCapacity] = []
        while True:
            acquired = failover.take()
            if isinstance(acquired, Attempt):
                deltas = self._deltas.of(request)
                resumption = Resumption(failover, deltas, self.cancels) if deltas and resumes(failover) else None
                purse = None if self._budgets is None else self._budgets.purse(payer_of(request))
                return ProviderCall(
                    failover,
                    acquired,
                    self._agents,
                    self._room,
                    self._tokens,
                    self._now,
                    deltas,
                    resumption,
                    costs=self.costs,
                    purse=purse,
                    context=self._contexts(request),
                )
            if isinstance(acquired, NoCapacity):
                if not acquired.down:
                    return self._busy(request, acquired)
                down.append(acquired)
            if failover.next_stage():
                continue
            if isinstance(acquired, Failure) and not down:
                return error_outcome(acquired.type, acquired.message)
            if all(each.refused for each in down):
                return error_outcome("provider_unavailable", self.why_not(request), retryable=True)
            return self._busy(request, down[0])

    def _busy(self, request: PendingRequest, lack: NoCapacity) -> Busy:
        if lack.model_only:
            self._room.busy(request.route.apart(request.request.payload["model"]))
            return Busy("model", lack.retry_in_s, lack.lack, lack.of)
        self._room.busy(request.route)
        only_class = lack.only_for_high and request.priority != "high"
        return Busy("class" if only_class else "route", lack.retry_in_s, lack.lack, lack.of)

    def why_not(self, request: PendingRequest) -> str:
        """Which endpoints get no calls for the request now, and why; empty where that is not what it waits for."""
        now = time.monotonic()
        targets = [target for stage in self._stages(request) for target in stage]
        unfit = {endpoint: why for target in targets for endpoint, why in target.unfit(now)}
        if len(unfit) < len({endpoint for target in targets for endpoint in target.provider.endpoints}):
            return ""
        return "; ".join(f"{label(endpoint)}: {why.why}" for endpoint, why in unfit.items())

    def _stages(self, request: PendingRequest) -> Sequence[Stage]:
        return self._routes.of(request.request.payload["model"], request.request.operation)

    def mapping(self, model: str) -> bytes:
        """What a model's name stands for at the providers that call it otherwise; empty where none does."""
        return self._routes.mapping(model)

    def report(self) -> None:
        """Set the gauges that nobody sets by an event."""
        for provider in self.all:
            provider.report()
