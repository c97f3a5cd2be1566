"""A provider on paper: hosts with slots, calls that take their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.limits import Route
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.slots import Slots

_OK = Outcome("ok", payload=b"{}", attempts=1)

Duration = Callable[[PendingRequest], float]


class PaperProviders:
    """One route a model, each with so many slots of which a share is kept for high; `None` slots are without number.

    `duration_s` says how long a call takes.
    """

    def __init__(self, slots: int | None, high_share: float, duration_s: Duration) -> None:
        self._most = slots
        self._high_share = high_share
        self._duration_s = duration_s
        self._slots: dict[Route, Slots] = {}
        self._tell: Callable[[Route], None] = lambda _: None
        self.most_under_way = 0

    def route(self, request: PendingRequest) -> Route | Outcome:
        return Route("paper", request.request.payload["model"])

    def why_not(self, request: PendingRequest) -> str:
        return ""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self._tell = tell

    def reserve(self, request: PendingRequest) -> PaperCall | Busy:
        slots = self._slots.get(request.route)
        if slots is None:
            size = 1_000_000_000 if self._most is None else self._most
            slots = self._slots[request.route] = Slots(size, self._high_share)
        if not slots.has_room(request.priority):
            return Busy("route" if slots.taken >= slots.size else "class", None, "endpoint_slots")
        slots.take(request.priority)
        self.most_under_way = max(self.most_under_way, slots.taken)
        return PaperCall(slots, request, self._duration_s(request), self._tell)


class PaperCall:
    """A call that only takes time."""

    def __init__(self, slots: Slots, request: PendingRequest, duration_s: float, tell: Callable[[Route], None]) -> None:
        self._slots = slots
        self._request = request
        self._duration_s = duration_s
        self._tell = tell

    async def call(self, request: PendingRequest) -> Outcome:
        await asyncio.sleep(self._duration_s)
        return _OK

    def attending(self) -> None: ...

    def cut_off(self, outcome: Outcome) -> Outcome:
        """As it is: nobody reads it."""
        return outcome

    def release(self) -> None:
        self._slots.give_back(self._request.priority)
        self._tell(self._request.route)
