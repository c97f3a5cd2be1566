"""Settings in force in this process, and where each comes from. Secrets are no settings: only where they are found is shown."""

from __future__ import annotations

from importlib.metadata import version

from aiohttp import web

from ops.cli.config_text import with_origins
from ops.ui.render import html
from ops.ui.room import ROOM


async def settings(request: web.Request) -> web.Response:
    """GET /settings: `all=1` shows those that stand at their default too."""
    room = request.app[ROOM]
    every = request.query.get("all") == "1"
    lines = [
        (key, each["value"], each["from"])
        for key, each in with_origins(room.effective).items()
        if every or each["from"] != "default"
    ]
    reader = room.reader
    return html(
        request, "settings.html", lines=lines, every=every, version=version("headrace"),
        problem=reader.problem or room.fleet_reader.problem, total=room.store.total, behind=reader.lag,
        oldest_ms=(room.store.buckets[-1] << 18) if room.store.buckets else None,
    )  # fmt: skip
