"""What all pages share: where they read, and what they may do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web

from ops.ui.access import Access
from ops.ui.fleet import FleetView
from ops.ui.fleet_reader import FleetReader
from ops.ui.index.reader import IndexReader
from ops.ui.index.store import IndexStore
from ops.ui.records import RecordFinder
from streams.actions.audit import AdminView
from streams.settings import Effective, Settings

Result = TypeVar("Result")

_QUERIES_AT_ONCE: Final = 4
_MOST_KEPT: Final = 256


@dataclass(slots=True)
class Room:
    """The parts behind the pages. `now` is Unix seconds."""

    effective: Effective
    store: IndexStore
    reader: IndexReader
    fleet: FleetView
    fleet_reader: FleetReader
    finder: RecordFinder
    access: Access
    admin: AdminView
    now: Callable[[], float] = time.time
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends: whoever is told live is told no more."""
    reading_costs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Windows of many days are read by one page at a time."""
    _queries: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_QUERIES_AT_ONCE))
    _kept: dict[Any, tuple[float, asyncio.Future[Any]]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.effective.settings

    async def query(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """A question to the index, in a thread; four at a time."""
        async with self._queries:
            return await asyncio.to_thread(work, self.store, *arguments)

    def forget_kept(self) -> None:
        """Make everything anew that is asked for from now on."""
        self._kept.clear()

    async def kept(self, key: Any, for_s: float, make: Callable[[], Any]) -> Any:
        """What `make` (a coroutine function) gave lately, for all who ask the same within `for_s`."""
        loop = asyncio.get_running_loop()
        found = self._kept.get(key)
        if found is not None and loop.time() < found[0]:
            return await asyncio.shield(found[1])
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {each: held for each, held in self._kept.items() if held[0] > loop.time()}
        if len(self._kept) >= _MOST_KEPT:
            return await make()
        made: asyncio.Future[Any] = loop.create_future()
        self._kept[key] = (loop.time() + for_s, made)
        try:
            made.set_result(await make())
        except BaseException as error:
            self._kept.pop(key, None)
            if isinstance(error, Exception):
                made.set_exception(error)
                made.exception()  # read: who asks alone is told by the raise
            else:
                made.cancel()
            raise
        return made.result()


ROOM: Final = web.AppKey("room", Room)
