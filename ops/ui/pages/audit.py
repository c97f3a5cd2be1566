"""Audit: who asked what of the fleet, when, and what came of it."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from ops.ui.render import html
from ops.ui.room import ROOM

_SHOWN: Final = 100


async def audit(request: web.Request) -> web.Response:
    """GET /audit: `id` shows one action alone."""
    room = request.app[ROOM]
    chosen = request.query.get("id", "")[:64]
    found = room.admin.find(chosen) if chosen else None
    return html(
        request, "audit.html", entries=room.admin.newest(_SHOWN) if not chosen else [found] if found else [],
        chosen=chosen, running=list(room.admin.running()), orders=room.admin.orders,
    )  # fmt: skip


async def audit_json(request: web.Request) -> web.Response:
    """GET /api/audit"""
    entries = request.app[ROOM].admin.newest(_SHOWN)
    body = orjson.dumps({"actions": [each.details() for each in entries]})
    return web.Response(body=body, content_type="application/json")
