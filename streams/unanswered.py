"""Requests on their way to the providers, by id, and the one way out for their answers: each leaves by it once.

The cache notes what it passes on or lets join; whoever wants to end a request finds it here. A request that is answered while
a call made for it goes on (for others) has left: what comes of the call is for the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from schemas.response import CacheResult
from streams.pipeline import Hit, HitResponder, Outcome, PendingRequest


class Unanswered:
    """Stands before `responder`, the end of the pipeline. 1 to 2 us a request that is no hit; a hit is not noted."""

    def __init__(self, responder: HitResponder) -> None:
        self._responder = responder
        self._by_id: dict[str, PendingRequest | dict[PendingRequest, None]] = {}
        """A dictionary where there are several of an id: most ids are their request's alone."""
        self._left: set[PendingRequest] = set()
        self.refusal: Callable[[PendingRequest], Outcome | None] = lambda _: None
        """How a request that is about to be called ends without a call; None: it goes on."""

    def __len__(self) -> int:
        return sum(len(found) if isinstance(found, dict) else 1 for found in self._by_id.values())

    def note(self, request: PendingRequest) -> bool:
        """It is to be called, or to join a call. False where it was refused, and answered, instead."""
        refused = self.refusal(request)
        if refused is not None:
            self._responder.respond(request, refused)
            return False
        found = self._by_id.setdefault(request.request_id, request)
        if isinstance(found, dict):
            found[request] = None
        elif found is not request:
            self._by_id[request.request_id] = {found: None, request: None}
        return True

    def find(self, request_id: str) -> Iterator[PendingRequest]:
        """Requests of this id, which need not be of one agent, that are not answered yet."""
        found = self._by_id.get(request_id)
        if isinstance(found, dict):
            yield from list(found)
        elif found is not None:
            yield found

    def has_left(self, request: PendingRequest) -> bool:
        """Whether it was answered before the call for it has ended."""
        return request in self._left

    def leave(self, request: PendingRequest, outcome: Outcome) -> None:
        """Answer it now. It ends once more, when its call has, and that is no answer of its own any more."""
        self._gone(request)
        self._left.add(request)
        self._responder.respond(request, outcome)

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        """See `Responder`."""
        if request in self._left:
            self._left.discard(request)
            return
        self._gone(request)
        self._responder.respond(request, outcome)

    def respond_hits(self, hits: Sequence[Hit], found_in: CacheResult) -> None:
        """See `HitResponder`: none of them was noted."""
        self._responder.respond_hits(hits, found_in)

    def abandon(self, request: PendingRequest) -> None:
        """See `Responder`."""
        if request in self._left:
            self._left.discard(request)
            return
        self._gone(request)
        self._responder.abandon(request)

    def drop_moved(self) -> None:
        """Partitions have moved: forget the requests that are another worker's now, however they end here."""
        for request_id in list(self._by_id):
            for request in self.find(request_id):
                if not request.source.live:
                    self._gone(request)

    def _gone(self, request: PendingRequest) -> None:
        found = self._by_id.get(request.request_id)
        if found is request:
            del self._by_id[request.request_id]
        elif isinstance(found, dict):
            found.pop(request, None)
            if not found:
                del self._by_id[request.request_id]
