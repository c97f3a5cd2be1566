"""The stage between intake and the cache, where cancelled requests end that come after their cancel; and what a cancel ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import structlog

from schemas.cancel import Cancel
from streams.cancels.book import CancelBook
from streams.metrics import definitions as metrics
from streams.pipeline import EndedAs, Outcome, PendingRequest, Responder, Stage, cancelled

log = structlog.get_logger("headrace.cancels")


class Following(Stage, Protocol):
    """The stage behind."""

    def cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        """End one of its requests that is not answered yet; where it was."""


class CancelGate:
    """Stage: passes on what nobody has cancelled.

    `find` gives the requests of an id that are behind it and not answered yet.
    """

    def __init__(
        self,
        book: CancelBook,
        following: Following,
        answers: Responder,
        find: Callable[[str], Iterator[PendingRequest]],
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._following = following
        self._answers = answers
        self._find = find
        self._now = now

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        """Pass on the requests. Without cancels it costs nothing."""
        if not self._book:
            self._following.accept(requests)
            return
        wanted: list[PendingRequest] = []
        for request in requests:
            refusal = self.refusal(request)
            if refusal is None:
                wanted.append(request)
            else:
                self._answers.respond(request, refusal)
        if wanted:
            self._following.accept(wanted)

    def refusal(self, request: PendingRequest) -> Outcome | None:
        """How a request ends that was cancelled before it came here; None where it was not."""
        why = self._book.finds(request)
        if why is None:
            return None
        metrics.CANCELLED.labels("unread").inc()
        return cancelled(why)

    def take(self, cancel: Cancel, at: float) -> None:
        """A cancel of that moment (Unix seconds, by the broker): end what it names, now and when it comes."""
        if not self._book.note(cancel, at, self._now()):
            return
        for request in self._find(cancel.request_id):
            why = self._book.finds(request)
            if why is not None and request.source.live:
                where = self._following.cancel(request, cancelled(why))
                metrics.CANCELLED.labels(where).inc()
