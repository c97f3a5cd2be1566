"""One at a time: requests of a conversation, or of an agent, that must not overtake each other.

Pure. The first of a chain goes on; the others are held back until it has ended, whatever came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from streams.flow.timer_wheel import TimerWheel
from streams.pipeline import Owner, PendingRequest
from topics.names import PRIORITIES

Ordering = Literal["none", "conversation", "agent"]

_Key = Owner | tuple[Owner, str]


class Order:
    """Chains of requests. Within one, the most urgent class goes first, and inside a class the one that came first."""

    def __init__(self, ordering: Ordering) -> None:
        self._ordering = ordering
        self._out: dict[_Key, PendingRequest] = {}
        self._held: dict[_Key, tuple[dict[PendingRequest, None], ...]] = {}
        self._wheel: TimerWheel[PendingRequest] = TimerWheel()

    def enter(self, request: PendingRequest) -> bool:
        """Whether it may go on now; else it is held back."""
        key = self._key(request)
        if key is None or self._out.setdefault(key, request) is request:
            return True
        held = self._held.setdefault(key, tuple({} for _ in PRIORITIES))
        held[PRIORITIES.index(request.priority)][request] = None
        self._wheel.add(request, request.dispatch_by)
        return False

    def leave(self, request: PendingRequest) -> PendingRequest | None:
        """It has ended, or is given up: the request that may go on instead."""
        key = self._key(request)
        if key is None:
            return None
        if self._out.get(key) is not request:
            self._let_go(key, request)
            return None
        following = next((first for waiting in self._held.get(key, ()) for first in waiting), None)
        if following is None:
            del self._out[key]
        else:
            self._out[key] = following
            self._let_go(key, following)
        return following

    def take_late(self, now: float) -> list[PendingRequest]:
        """What is held back and whose wait has ended by `now`; `leave` with each."""
        return self._wheel.take(now)

    def ahead_of(self, request: PendingRequest) -> tuple[PendingRequest, int] | None:
        """Who is out of its chain, and how many that are held back go before it; None where it is not held back. Takes time in
        proportion to the chain.
        """
        key = self._key(request)
        held = None if key is None else self._held.get(key)
        if key is None or held is None or request not in held[PRIORITIES.index(request.priority)]:
            return None
        ahead = 0
        for waiting in held:
            for other in waiting:
                if other is request:
                    return self._out[key], ahead
                ahead += 1
        return None

    def __iter__(self) -> Iterator[PendingRequest]:
        """Everything that is held back."""
        return (request for held in self._held.values() for waiting in held for request in waiting)

    def _let_go(self, key: _Key, request: PendingRequest) -> None:
        held = self._held[key]
        held[PRIORITIES.index(request.priority)].pop(request)
        self._wheel.discard(request, request.dispatch_by)
        if not any(held):
            del self._held[key]

    def _key(self, request: PendingRequest) -> _Key | None:
        if self._ordering == "none":
            return None
        if self._ordering == "agent":
            return request.owner
        conversation = request.request.conversation_id
        return None if conversation is None else (request.owner, conversation)
