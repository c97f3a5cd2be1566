"""All providers of a worker, as flow sees them: routes, reservations, and word when there is room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from streams.flow.calls import Busy
from streams.limits import UNLIMITED, Route, TooLarge
from streams.limits.estimate import TokenEstimator
from streams.pipeline import Outcome, PendingRequest, expired, refused
from streams.providers.call import Call
from streams.providers.provider import Choice, Lack, Provider, Taken, places, take
from streams.providers.room import Room
from streams.providers.routes import Routes
from streams.providers.slots import AgentConnections
from streams.providers.wire import CannotTranslateError


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
    ) -> None:
        self.all = providers
        self._routes = routes
        self._agents = agents
        self._tokens = tokens
        self._now = now
        self._room: Room[Taken] = Room(Taken.give_all_back)
        for provider in providers:
            provider.budget.on_room(lambda _: self._room.open())
            for endpoint in provider.endpoints:
                endpoint.on_change = self._room.open

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that was Busy may have room."""
        self._room.tell = tell

    def route(self, request: PendingRequest) -> Route | Outcome:
        """The route of the first provider that serves the request; an outcome if none does. Sets the request's tokens."""
        choices = self._choices(request)
        if not choices:
            model: str = request.request.payload["model"]
            return refused("invalid_request", f"no provider serves {request.request.operation} of the model {model!r}")
        if any(choice.provider.budget is not UNLIMITED for choice in choices):  # else nobody asks for them
            request.tokens = self._tokens.estimate(request.request.operation, request.request.payload).tokens
            never = [choice.provider.budget.too_large(choice.route, request.tokens) for choice in choices]
            if never[0] is not None and None not in never:
                return refused("exceeds_limit", never[0].message)
        return choices[0].route

    def reserve(self, request: PendingRequest) -> Call | Outcome | Busy:
        """The right to one call; an outcome if it can never be made; Busy if it has to wait."""
        if not self._agents.free(request.agent_id):
            left_s = self._agents.left_s(request.agent_id, request.request_id, time.monotonic())
            if left_s <= 0:
                return expired("in the queue, for one of its agent's connections")
            self._room.busy(request.route)
            return Busy("agent", left_s)
        choices = self._choices(request)
        never: list[Outcome] = []
        only_for_high, retry_in_s = False, None
        for choice in choices:
            found = self._try(choice, request)
            if isinstance(found, tuple):
                taken, body = found
                return Call(request, choices, taken, body, self._agents, self._room, self._tokens, self._now)
            if isinstance(found, Outcome):
                never.append(found)
                continue
            only_for_high = only_for_high or found.only_for_high
            if found.retry_in_s is not None:
                retry_in_s = min(found.retry_in_s, retry_in_s or found.retry_in_s)
        if len(never) == len(choices):
            return never[-1]
        self._room.busy(request.route)
        return Busy("class" if only_for_high and request.priority != "high" else "route", retry_in_s)

    def _try(self, choice: Choice, request: PendingRequest) -> tuple[Taken, bytes] | Lack | Outcome:
        free = places(choice, request.priority)
        if isinstance(free, Lack):
            return free
        try:
            body = choice.provider.encode(request.request)
        except CannotTranslateError as error:
            return refused("invalid_request", f"{choice.provider.name}: {error}")
        if not choice.provider.bodies.fits(len(body)):
            return Lack(only_for_high=False)
        found = take(choice, free, request)
        if isinstance(found, TooLarge):
            return refused("exceeds_limit", found.message)
        return found if isinstance(found, Lack) else (found, body)

    def _choices(self, request: PendingRequest) -> tuple[Choice, ...]:
        return self._routes.of(request.request.payload["model"], request.request.operation)

    def report(self) -> None:
        """Set the gauges that nobody sets by an event."""
        for provider in self.all:
            provider.report()
