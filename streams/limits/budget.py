"""The seam between providers and limits: the right to one call, taken before it and trued up after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from streams.limits.route import Route


class Hold(Protocol):
    """One request and its tokens, taken from a budget. Every attempt takes its own; ends in one `settle` or `give_back`."""

    def good(self) -> bool:
        """Whether the call may still begin; asked right before it. If not: give it back and reserve anew."""

    def settle(self, tokens_used: int | None) -> None:
        """The provider took the call. What it did not use is free again; what it used beyond is owed.

        None: nobody knows what it used, so all that was reserved counts. 0 where it refused the call: the request counts.
        """

    def give_back(self) -> None:
        """The provider never saw the call: nothing was used."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No room now."""

    retry_in_s: float | None
    """When there will be, as far as known now; None: when `on_room` tells."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never: more than the limit gives at once, however long one waits. Answer `exceeds_limit`."""

    message: str


Reserved: TypeAlias = Hold | Wait | TooLarge


class Budget(Protocol):
    """What providers allow, as one worker sees it. Each route has limits of its own."""

    def too_large(self, route: Route, tokens: int) -> TooLarge | None:
        """Whether a call of so many tokens can never be made; asked before it waits for anything."""

    def reserve(self, route: Route, tokens: int) -> Reserved:
        """One request and its tokens (estimated input and most output), both or neither."""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that had to wait may have room."""

    def observe_headers(self, route: Route, headers: Mapping[str, str], status: int) -> None:
        """What an answer said of the limits (`x-ratelimit-*`, `retry-after`) corrects our view downward. Names are lower case."""


class _FreeHold:
    """Nothing was taken, nothing is owed."""

    __slots__ = ()

    def good(self) -> bool:
        return True

    def settle(self, tokens_used: int | None) -> None:
        pass

    def give_back(self) -> None:
        pass


_FREE: Final = _FreeHold()


class Unlimited:
    """A budget for a provider without limits."""

    def too_large(self, route: Route, tokens: int) -> TooLarge | None:
        return None

    def reserve(self, route: Route, tokens: int) -> Reserved:
        return _FREE

    def on_room(self, tell: Callable[[Route], None]) -> None:
        pass  # nobody ever waits

    def observe_headers(self, route: Route, headers: Mapping[str, str], status: int) -> None:
        pass


UNLIMITED: Final = Unlimited()
