"""Providers and workers: health with its reason, calls under way, partitions, CPU and memory."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ops.ui import workers
from ops.ui.render import html
from ops.ui.room import ROOM, Room

_FRESH_S: Final = 1.5


async def providers(request: web.Request) -> web.Response:
    """GET /providers"""
    room = request.app[ROOM]
    return html(
        request,
        "providers.html",
        orders=room.admin.orders,
        **await room.kept("providers", _FRESH_S, lambda: _values(room)),
    )


async def _values(room: Room) -> dict[str, Any]:
    endpoints = await workers.endpoints(room)
    urls = {each.url for asked in endpoints for each in asked.said or ()} | room.admin.orders.drained.keys()
    return {"endpoints": endpoints, "seen": room.fleet.workers(room.now()), "urls": sorted(urls)}
