"""The seam between providers and limits: the right to one call, taken before it and trued up after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from streams.limits.route import Route
from streams.limits.token_estimate import Estimate
from streams.limits.usage import Used


class Reservation(Protocol):
    """One request and its tokens, taken from a budget. Every attempt takes its own; ends in one `settle` or `release`."""

    def is_valid(self) -> bool:
        """Whether the call may still begin; asked right before it. If not: release it and reserve anew."""

    def settle(self, used: Used | None) -> None:
        """The provider took the call. What it did not use is free again; what it used beyond is owed.

        None: nobody knows what it used, so all that was reserved counts. `NOTHING` where it refused the call: the request
        counts.
        """

    def release(self) -> None:
        """The provider never saw the call: nothing was used."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No room now."""

    retry_in_s: float | None
    """When there will be, as far as known now; None: when `on_room` tells."""
    of: str = ""
    """What is short, in words: `requests`, `tokens`, `pause` where the provider asked for no calls."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never: more than the limit gives at once, however long one waits. Answer `exceeds_limit`."""

    message: str


Reserved: TypeAlias = Reservation | Wait | TooLarge


class Budget(Protocol):
    """What providers allow, as one worker sees it. Each route has limits of its own."""

    def too_large(self, route: Route, estimate: Estimate) -> TooLarge | None:
        """Whether such a call can never be made, even if it takes the least that it may; asked before it waits for anything."""

    def reserve(self, route: Route, estimate: Estimate) -> Reserved:
        """One request and its tokens, all or nothing: what the provider's limits may count for it, at most all that they give."""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that had to wait may have room."""

    def observe_headers(self, route: Route, headers: Mapping[str, str]) -> None:
        """What an answer said of the limits (`x-ratelimit-*`) corrects our view downward. Names are lower case."""

    def pause(self, route: Route, seconds: float) -> None:
        """The provider has no room for so long, as it says (`Retry-After`): no calls in the whole fleet, at most for a minute."""


class _FreeReservation:
    """Nothing was taken, nothing is owed."""

    __slots__ = ()

    def is_valid(self) -> bool:
        return True

    def settle(self, used: Used | None) -> None:
        pass

    def release(self) -> None:
        pass


FREE: Final = _FreeReservation()
"""The right to a call of a provider that limits nothing."""


class Unlimited:
    """A budget for a provider without limits."""

    def too_large(self, route: Route, estimate: Estimate) -> TooLarge | None:
        return None

    def reserve(self, route: Route, estimate: Estimate) -> Reserved:
        return FREE

    def on_room(self, tell: Callable[[Route], None]) -> None:
        pass  # nobody ever waits

    def observe_headers(self, route: Route, headers: Mapping[str, str]) -> None:
        pass

    def pause(self, route: Route, seconds: float) -> None:
        pass


UNLIMITED: Final = Unlimited()
