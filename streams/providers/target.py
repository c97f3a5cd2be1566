"""Where a call may go: a provider, and a model as that provider calls it; and what an attempt there takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from streams.limits import Reservation, Route, TooLarge, Wait
from streams.pipeline import Lack, PendingRequest
from streams.providers.endpoint import Endpoint
from streams.providers.health import Begun, Unfit
from streams.providers.provider import Provider
from streams.providers.routing import Policy
from topics.names import Priority


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One of the providers that a model's requests may go to, and how its endpoints are chosen for them."""

    provider: Provider
    route: Route
    """Its limits hold."""
    model: str
    """As the provider calls it."""
    policy: Policy
    window: int | None
    """Tokens that the model takes; None: nobody said."""

    def unfit(self, now: float) -> list[tuple[Endpoint, Unfit]]:
        """Its endpoints that get no calls for the model now, and why."""
        judged = ((endpoint, endpoint.health.unfit(self.model, now)) for endpoint in self.provider.endpoints)
        return [(endpoint, unfit) for endpoint, unfit in judged if unfit is not None]

    def fit(self, now: float) -> list[Endpoint]:
        """Its endpoints that may be called for the model now, whether they have slots or not."""
        return [endpoint for endpoint in self.provider.endpoints if endpoint.health.fit(self.model, now)]

    def suspect(self, endpoints: Sequence[Endpoint], now: float) -> bool:
        """Whether all of these endpoints failed of late, so that another target is to be preferred."""
        return all(endpoint.health.suspect(self.model, now) for endpoint in endpoints)


@dataclass(frozen=True, slots=True)
class NoCapacity:
    """No call at this target now."""

    only_for_high: bool = False
    """Whether a request of the class high would get one."""
    retry_in_s: float | None = None
    down: bool = False
    """None of its endpoints is fit."""
    model_only: bool = False
    """They are fit for other models."""
    refused: bool = False
    """An operator has to fix something at all of them."""
    lack: Lack = "endpoints_down"
    of: str = ""


@dataclass(slots=True, eq=False)
class Attempt:
    """Everything that one attempt needs, taken."""

    target: Target
    endpoint: Endpoint
    reservation: Reservation
    priority: Priority
    begun: Begun
    """The endpoint's breakers know the attempt by it."""

    def give_slots_back(self) -> None:
        """After an attempt. The reservation ends by what came of it."""
        self.endpoint.give_back(self.priority, self.begun)
        self.target.provider.connections.give_back(self.priority)

    def give_all_back(self) -> None:
        """No attempt was made."""
        self.reservation.release()
        self.give_slots_back()


def available(target: Target, priority: Priority, now: float) -> list[Endpoint] | NoCapacity:
    """The endpoints that could take a call of the class now, at least one."""
    provider = target.provider
    wait_s = provider.traffic.bandwidth.wait_s(now)
    if wait_s:
        return NoCapacity(retry_in_s=wait_s, lack="bandwidth")
    if not provider.connections.free(priority):
        return NoCapacity(only_for_high=provider.connections.free("high") > 0, lack="provider_connections")
    fit = target.fit(now)
    if not fit:
        return _down(target, now)
    free = [endpoint for endpoint in fit if endpoint.free(priority)]
    return free or NoCapacity(any(endpoint.free("high") for endpoint in fit), lack="endpoint_slots")


def _down(target: Target, now: float) -> NoCapacity:
    why = [unfit for _, unfit in target.unfit(now)]
    return NoCapacity(
        retry_in_s=min((each.retry_in_s for each in why if each.retry_in_s is not None), default=None),
        down=True,
        model_only=any(each.scope == "model" for each in why),
        refused=all(each.refused for each in why),
    )


def acquire(
    target: Target, free: Sequence[Endpoint], request: PendingRequest, avoid: Sequence[Endpoint] = ()
) -> Attempt | NoCapacity | TooLarge:
    """Take what an attempt needs at one of the `free` endpoints, all of it or nothing.

    One to `avoid` only without another; one that failed of late only without one that did not.
    """
    reservation = target.provider.budget.reserve(target.route, request.estimate)
    if isinstance(reservation, Wait):
        lack: Lack = "provider_pause" if reservation.of == "pause" else "provider_limit"
        return NoCapacity(retry_in_s=reservation.retry_in_s, lack=lack, of=reservation.of)
    if isinstance(reservation, TooLarge):
        return reservation
    candidates = [each for each in free if each not in avoid] or free if avoid else free
    if len(candidates) > 1:
        now = time.monotonic()
        candidates = [each for each in candidates if not each.health.suspect(target.model, now)] or candidates
    endpoint = target.policy.pick(candidates, request.request.conversation_id or request.agent_id)
    target.provider.connections.take(request.priority)
    return Attempt(target, endpoint, reservation, request.priority, endpoint.take(request.priority, target.model))
