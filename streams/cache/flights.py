"""Single flight: of identical calls one is made, by its leader; the joiners wait for its answer.

Pure: it keeps who leads and who has joined, and says what is to be done; the stage does it.

A leader of a lower class that still waits for dispatch is overtaken: the new one leads and is called, and the old one waits in
its own queue and for the new one's answer, whichever comes first. So high never waits for the turn of low.

A leader's answer goes to all. A failure goes to the joiners only where it must come out the same for them (a refusal that is
not retryable, of the very same payload); otherwise the first joiner that still has time leads the next try, and the rest wait
on. When a leader runs out of time, is cancelled or moves to another worker, the next one is promoted in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from streams.pipeline import PendingRequest
from streams.route_shares import RouteShares
from topics.names import PRIORITIES


@dataclass(slots=True)
class Flight:
    """One call under way and who waits for it."""

    leader: PendingRequest
    joiners: list[PendingRequest] = field(default_factory=list)
    """A list: most flights have none, and an empty deque takes 0.6 KB."""
    queued: list[PendingRequest] = field(default_factory=list)
    """Leaders that were overtaken: each may still be called by itself."""


class Flights:
    """Flights by cache key. Who joins waits for the leader's provider, and counts there in `shares`."""

    def __init__(self, shares: RouteShares) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._shares = shares

    def may_join(self, key: bytes, request: PendingRequest) -> bool:
        """Whether there is a flight that it would not lead."""
        flight = self._flights.get(key)
        return flight is not None and not _is_overtaken(flight.leader, request)

    def join(self, key: bytes, request: PendingRequest) -> Literal["leads", "joined", "full"]:
        """Whether the request leads a new flight (and is to be called), or has joined one; `full`: neither, too many wait for
        its provider.
        """
        flight = self._flights.get(key)
        if flight is None:
            self._flights[key] = Flight(request)
            return "leads"
        if _is_overtaken(flight.leader, request):
            flight.queued.append(flight.leader)
            flight.leader = request
            return "leads"
        request.route = flight.leader.route
        if self._shares.is_full(request):
            return "full"
        flight.joiners.append(request)
        self._shares.put(request)
        return "joined"

    def complete(self, key: bytes, leader: PendingRequest) -> list[PendingRequest]:
        """The leader's call has ended for all: who had joined. The flight is over."""
        flight = self._flights.get(key)
        if flight is None or flight.leader is not leader:
            return []
        return self._left(self._flights.pop(key).joiners)

    def leave(self, key: bytes, request: PendingRequest) -> None:
        """It has ended by itself."""
        flight = self._flights.get(key)
        if flight is not None and request in flight.queued:
            flight.queued.remove(request)

    def take_joiner(self, key: bytes, request: PendingRequest) -> bool:
        """Take it out of those who have joined; whether it was among them."""
        flight = self._flights.get(key)
        if flight is None or request not in flight.joiners:
            return False
        flight.joiners.remove(request)
        self._shares.take(request)
        return True

    def is_waited_for(self, key: bytes, leader: PendingRequest) -> bool:
        """Whether the answer to this leader is others', too."""
        flight = self._flights.get(key)
        return flight is not None and flight.leader is leader and bool(flight.joiners or flight.queued)

    def leader(self, key: bytes) -> PendingRequest | None:
        """Who leads the flight, if there is one."""
        flight = self._flights.get(key)
        return None if flight is None else flight.leader

    def joined(self, key: bytes, request: PendingRequest) -> PendingRequest | None:
        """The leader that the request, one that is not answered yet, waits for; None where it is to be called itself."""
        flight = self._flights.get(key)
        if flight is None or flight.leader is request or request in flight.queued:
            return None
        return flight.leader

    def take_queued(self, key: bytes, leader: PendingRequest) -> list[PendingRequest]:
        """Those that the leader has overtaken. Ask before `complete` and `promote`."""
        flight = self._flights.get(key)
        if flight is None or flight.leader is not leader:
            return []
        queued, flight.queued = flight.queued, []
        return queued

    def promote(
        self, key: bytes, leader: PendingRequest, now: float
    ) -> tuple[PendingRequest | None, list[PendingRequest]]:
        """The leader is out: promotes the next leader, if one has time left; and the joiners whose time is over."""
        flight = self._flights.get(key)
        if flight is None or flight.leader is not leader:
            return None, []
        late: list[PendingRequest] = []
        while flight.joiners:
            candidate = flight.joiners.pop(0)
            self._shares.take(candidate)
            if not candidate.source.live:
                continue  # another worker's by now
            if candidate.dispatch_by <= now:
                late.append(candidate)
                continue
            flight.leader = candidate
            return candidate, late
        del self._flights[key]
        return None, late

    def take_expired(self, now: float) -> list[PendingRequest]:
        """Take out every joiner whose time is over."""
        expired: list[PendingRequest] = []
        for flight in self._flights.values():
            if any(_is_over(joiner, flight.leader, now) for joiner in flight.joiners):
                kept: list[PendingRequest] = []
                for joiner in flight.joiners:
                    (expired if _is_over(joiner, flight.leader, now) else kept).append(joiner)
                flight.joiners = kept
        return self._left(expired)

    def waiting(self) -> Iterator[PendingRequest]:
        """Every joiner."""
        for flight in self._flights.values():
            yield from flight.joiners

    def __len__(self) -> int:
        """How many have joined."""
        return sum(len(flight.joiners) for flight in self._flights.values())

    def _left(self, joiners: Iterable[PendingRequest]) -> list[PendingRequest]:
        left = list(joiners)
        for joiner in left:
            self._shares.take(joiner)
        return left


def _is_overtaken(leader: PendingRequest, request: PendingRequest) -> bool:
    lower = PRIORITIES.index(leader.priority) > PRIORITIES.index(request.priority)
    return lower and leader.dispatched_at is None


def _is_over(joiner: PendingRequest, leader: PendingRequest, now: float) -> bool:
    """A joiner's own limit holds always; its class's bound on waiting, until the call that it waits for is under way."""
    if joiner.expires_at is not None:
        return joiner.expires_at <= now
    return leader.dispatched_at is None and joiner.dispatch_by <= now
