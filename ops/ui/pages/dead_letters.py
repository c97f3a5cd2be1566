"""Dead letters, grouped by reason, error, stage and provider."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ops.ui.index import codes, queries
from ops.ui.index.filters import FilterError, Filters, read_filters
from ops.ui.pages.requests import url
from ops.ui.render import html
from ops.ui.room import ROOM

_FRESH_S: Final = 2.0
_ERRORS: Final = codes.ERRORS[1:]


async def dead_letters(request: web.Request) -> web.Response:
    """GET /dead-letters: `since` narrows."""
    room = request.app[ROOM]
    problem, filters = None, Filters()
    try:
        filters = Filters(since=read_filters({"since": request.query.getall("since", [])}).since)
    except FilterError as error:
        problem = str(error)
    from_ms = filters.at(round(room.now() * 1000)).from_ms

    async def make() -> Any:
        return await room.query(queries.dead_groups, from_ms)

    groups, complete = await room.kept(("dead", filters.since), _FRESH_S, make)
    lines = [
        (
            each,
            url(
                "/requests",
                Filters(
                    reason=each.reason,
                    error=each.error if each.error in _ERRORS else "",
                    provider=each.provider,
                    since=filters.since,
                ),
            ),
        )
        for each in groups
    ]
    ranges = [(text, f"/dead-letters?since={text}") for text in ("15m", "1h", "24h", "7d")]
    return html(
        request, "dead_letters.html", status=400 if problem else 200, lines=lines, complete=complete, problem=problem,
        since=filters.since, ranges=ranges, total=sum(each.count for each in groups),
    )  # fmt: skip
