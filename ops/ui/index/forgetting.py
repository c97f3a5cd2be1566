"""An agent's rows go from the index when an action says so. What was asked before the start is done again at each: it may be an
index that was made anew from the topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from ops.ui.index.store import IndexStore
from schemas.admin import AdminOutcome, Forget
from streams.actions.outcomes import outcome_of
from streams.actions.wire import Noted
from streams.cache.key import owner_tag
from streams.supervise import Jobs

log = structlog.get_logger("headrace.ui")

_MOST: Final = 200
"""Actions that wait; the newest of them count."""


class Forgetting:
    """Takes actions in the topic's order; `caught_up`: set when the index has read what there was at the start.

    `tell`: writes what came of an action; None where this control room may write nothing.
    """

    def __init__(
        self, store: IndexStore, caught_up: asyncio.Event, tell: Callable[[AdminOutcome], Awaitable[object]] | None
    ) -> None:
        self._store = store
        self._caught_up = caught_up
        self._tell = tell
        self._jobs = Jobs("ui_index")
        self._waiting: list[tuple[Forget, bool]] = []
        self._running = False

    def take(self, noted: Noted, *, is_new: bool) -> None:
        """`is_new`: asked since the start, and to be answered."""
        if isinstance(noted.record, Forget):
            self._waiting = [*self._waiting, (noted.record, is_new)][-_MOST:]
            if not self._running:
                self._running = True
                self._jobs.start(self._work(), self._ended)

    async def stop(self) -> None:
        await self._jobs.end()

    def _ended(self) -> None:
        self._running = False

    async def _work(self) -> None:
        await self._caught_up.wait()
        while self._waiting:
            action, is_new = self._waiting.pop(0)
            before_ms = round(action.before.timestamp() * 1000)
            gone = await asyncio.to_thread(self._store.forget, partial(_is_of, action.owner), before_ms)
            if gone:
                log.info("an agent's requests were forgotten", action_id=action.action_id, requests=gone)
            if is_new and self._tell is not None:
                words = f"{gone} rows of the index are deleted"
                await self._tell(outcome_of(action.action_id, "forget", "done", words, gone))
        self._running = False


def _is_of(owner: str, agent_id: str, tenant: str) -> bool:
    return owner_tag(agent_id, tenant) == owner
