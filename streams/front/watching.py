"""Ends the waiting for requests whose time is over (deadlines.py), where no worker says so.

    published --unread_s--> looked at --no worker lives, or the one that has its partition has not read it--> expired
                               |   \\--else: again in LOOK_EVERY_S, until over_s--> expired
                               \\--told in deltas, without a limit of its own--> left to who reads it

A worker that reads a request later than `unread_s` does not begin with it and answers `expired`, too: which of the two answers
comes first does not matter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from streams.front.deadlines import LOOK_EVERY_S, Deadline, over
from streams.front.waiting import Waiting
from streams.front.workers import Workers
from streams.supervise import Jobs


@dataclass(slots=True)
class _Watched:
    request_id: str
    agent_id: str
    since: float
    deadline: Deadline
    asked: bool = False
    """Whether a worker has said where it is: one that was read in time is not asked for again."""


class Watch:
    """`begin` for each request that is on the log; `stop` it in the end."""

    def __init__(self, waiting: Waiting, workers: Workers) -> None:
        self._waiting = waiting
        self._workers = workers
        self._jobs = Jobs("front_deadlines")

    def begin(self, request_id: str, agent_id: str, deadline: Deadline) -> None:
        """The broker has it now."""
        watched = _Watched(request_id, agent_id, time.monotonic(), deadline)
        self._waiting.ring(request_id, deadline.unread_s, lambda: self._look(watched))

    async def stop(self) -> None:
        await self._jobs.end()

    def _look(self, watched: _Watched) -> None:
        now, deadline = time.monotonic(), watched.deadline
        waited_s = now - watched.since
        total = deadline.over_s <= deadline.unread_s
        if self._waiting.is_told(watched.request_id) and not total:
            return  # under way, without a limit of its own: who reads it is told that it still waits
        if waited_s >= deadline.over_s or not self._workers.live(now):
            self._expire(watched)
            return
        again_s = min(LOOK_EVERY_S, deadline.over_s - waited_s)
        self._waiting.ring(watched.request_id, again_s, lambda: self._look(watched))
        if not watched.asked:
            self._jobs.start(self._ask(watched))

    async def _ask(self, watched: _Watched) -> None:
        """A worker lives, and may have more before it than it gets to in this request's time."""
        where = await self._workers.ask(watched.request_id, self._waiting.record_of(watched.request_id))
        if where is None:
            return
        watched.asked = True
        if where.stage == "unread" and not self._waiting.is_told(watched.request_id):
            self._expire(watched)

    def _expire(self, watched: _Watched) -> None:
        waited_s = time.monotonic() - watched.since
        self._waiting.expire(
            watched.request_id, over(watched.request_id, watched.agent_id, waited_s, datetime.now(UTC))
        )
