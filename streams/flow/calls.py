"""What flow and the providers know of each other: routes, reservations, and whom a lack of room holds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from streams.limits import Route
from streams.pipeline import Outcome, PendingRequest

Scope = Literal["route", "class", "agent", "model"]


@dataclass(frozen=True, slots=True)
class Busy:
    """No call now, and whom that holds up.

    `scope` is `route`: every request of the route; `class`: only those of the request's class and of lower ones (what is
    left is kept for high); `agent`: only those of the request's agent on this route, until one of that agent's calls ends;
    `model`: only those of the request's model on this route, which wait apart from then on.

    `retry_in_s` is when another try may be worth it, in seconds (tokens refill); None: the next time `on_room` tells.
    """

    scope: Scope
    retry_in_s: float | None = None


class Reservation(Protocol):
    """The right to one call: a slot with its host, connection and rate-limit reservation."""

    async def call(self, request: PendingRequest) -> Outcome:
        """Make the call, with retries and failover, inside the time left to the request. Raises only when cancelled."""

    def release(self) -> None:
        """Give everything back. Once, after `call` or instead of it."""


class Providers(Protocol):
    """Where calls go."""

    def route(self, request: PendingRequest) -> Route | Outcome:
        """The name of the request's route: requests of one route wait for the same things (provider and model group).

        Asked once, when the request begins to wait; sets `request.estimate`. An outcome if it can never be served.
        """

    def reserve(self, request: PendingRequest) -> Reservation | Outcome | Busy:
        """The right to one call; an outcome if it can never have one; Busy if it has to wait."""

    def why_not(self, request: PendingRequest) -> str:
        """Why the request gets no call now, where its endpoints are the cause: in words, for its caller. Else empty."""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that was Busy may have room: a slot freed, tokens granted, an endpoint healthy.

        It may be called from inside `release`.
        """
