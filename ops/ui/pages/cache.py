"""Cache: where answers came from, as workers count it, how large it is, and one entry looked up."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from ops.admin.cache import find_entry, views
from ops.ui import workers
from ops.ui.payload import shown_value
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from streams.cache.errors import StoreError

_FRESH_S: Final = 5.0
_KEY: Final = re.compile(r"[0-9a-fA-F]{32}").fullmatch


@dataclass(frozen=True, slots=True)
class CacheLine:
    """A worker's counts since its start; None where it cannot be asked."""

    worker_id: str
    figures: dict[str, float] | None
    problem: str | None

    @property
    def results(self) -> dict[str, float]:
        """Requests by where their answers came from."""
        begin = "requests_total."
        return {
            name.removeprefix(begin): count for name, count in (self.figures or {}).items() if name.startswith(begin)
        }

    @property
    def hit_share(self) -> float | None:
        total = sum(self.results.values())
        return 1 - self.results.get("miss", 0.0) / total if total else None


async def cache(request: web.Request) -> web.Response:
    """GET /cache: `key` looks an entry up in the stores of this machine."""
    room = request.app[ROOM]
    values = await room.kept("cache", _FRESH_S, lambda: _values(room))
    key = request.query.get("key", "").strip()[:64]
    entry, problem = None, None
    if key:
        entry, problem = await _look_up(request, room, key)
    return html(request, "cache.html", key=key, entry=entry, problem=problem, **values)


async def _values(room: Room) -> dict[str, Any]:
    asked = await workers.cache_figures(room)
    lines = [CacheLine(each.worker_id, each.said, each.problem) for each in asked]
    return {"lines": lines, "stores": await asyncio.to_thread(views, room.settings.cache.disk.path)}


async def _look_up(request: web.Request, room: Room, key: str) -> tuple[dict[str, Any] | None, str | None]:
    if not room.access.may_see_payloads(request):
        return None, "your role does not see payloads"
    if _KEY(key) is None:
        return None, "a key is 32 hexadecimal digits: `headrace cache get FILE` tells that of a request"
    try:
        found = await asyncio.to_thread(find_entry, room.settings.cache.disk.path, bytes.fromhex(key))
    except StoreError as error:
        return None, str(error)
    if found is None:
        return None, "not in a store of this machine"
    details = found.details(room.now())
    return {**details, "entry": shown_value(found.stored.value, redacted=True)}, None
