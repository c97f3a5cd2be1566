"""Requests that run out of time in the queue: what they waited for, said in the answer, and in the log once in a while."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import structlog

from streams.flow.queue_states import QueueStates
from streams.pipeline import Outcome, PendingRequest, expired
from streams.waits import WORDS, Reason

log = structlog.get_logger("headrace.flow")

LOG_EVERY_S: Final = 60.0


class Expiry:
    """`why_not`: which endpoints get no calls for a request, in words. `clock`: monotonic; `now`: the records' time."""

    def __init__(
        self,
        states: QueueStates,
        why_not: Callable[[PendingRequest], str],
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._states = states
        self._why_not = why_not
        self._clock = clock
        self._now = now
        self._told: dict[Reason, float] = {}
        self._since: dict[Reason, tuple[int, float]] = {}
        """By reason: requests that expired since the last line, and how long the longest of them waited."""

    def outcome(self, request: PendingRequest) -> Outcome:
        """The answer to a request whose time is over, and which stands in the queue no more."""
        waited_s = max(0.0, self._now() - request.received_at)
        reason, detail = self._states.waited_for(request)
        words = WAITED.get(reason, WORDS[reason])
        if down := self._why_not(request):
            reason, words, detail = "endpoints_down", down, ""
        self._note(reason, detail or str(request.route), waited_s)
        return expired(f"in the queue after {waited_s:.1f} s; {words}{f': {detail}' if detail else ''}")

    def _note(self, reason: Reason, of: str, waited_s: float) -> None:
        count, longest_s = self._since.get(reason, (0, 0.0))
        self._since[reason] = count, longest_s = count + 1, max(longest_s, waited_s)
        clock = self._clock()
        if clock < self._told.get(reason, -inf) + LOG_EVERY_S:
            return
        self._told[reason] = clock
        del self._since[reason]
        log.warning(
            "requests run out of time in the queue", waiting_for=reason, of=of, requests=count,
            longest_wait_s=round(longest_s, 1), why=WAITED.get(reason, WORDS[reason]),
        )  # fmt: skip


WAITED: Final[dict[Reason, str]] = {
    "turn": "others were before it, and calls did not end fast enough (concurrency, connections, more workers)",
    "agent_over": WORDS["agent_over"],
}
"""In the past, where the words for the present would mislead."""
