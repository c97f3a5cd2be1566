"""Dead letters, grouped by reason, error, stage and provider."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from ops.ui.index import codes, letters
from ops.ui.index.filters import FilterError, Filters, read_filters
from ops.ui.pages.requests import url
from ops.ui.render import html
from ops.ui.room import ROOM

_FRESH_S: Final = 2.0
_ERRORS: Final = codes.ERRORS[1:]


async def dead_letters(request: web.Request) -> web.Response:
    """GET /dead-letters: `since` narrows."""
    room = request.app[ROOM]
    problem, filters, number = None, Filters(), None
    try:
        asked = read_filters({name: request.query.getall(name, []) for name in ("since", "tenant")})
        filters = Filters(since=asked.since, tenant=asked.tenant)
        number = room.reader.places.number_of(filters.tenant) if filters.tenant else None
    except FilterError as error:
        problem = str(error)
    except ValueError:
        problem = "there is no such tenant"
    from_ms = filters.at(round(room.now() * 1000)).from_ms

    async def make() -> Any:
        return await room.query(letters.dead_groups, from_ms, number)

    groups, complete = await room.kept(("dead", filters), _FRESH_S, make)
    lines = [
        (
            each,
            url(
                "/requests",
                Filters(
                    reason=each.reason,
                    error=each.error if each.error in _ERRORS else "",
                    provider=each.provider,
                    tenant=each.tenant,
                    since=filters.since,
                ),
            ),
        )
        for each in groups
    ]
    ranges = [(text, url("/dead-letters", replace(filters, since=text))) for text in ("15m", "1h", "24h", "7d")]
    return html(
        request, "dead_letters.html", status=400 if problem else 200, lines=lines, complete=complete, problem=problem,
        since=filters.since, tenant=filters.tenant, tenants=room.reader.places.tenants, ranges=ranges,
        tenant_links=[(name, url("/dead-letters", replace(filters, tenant=name))) for name in ("", *room.reader.places.tenants)],
        here_query=url("", filters), running=list(room.admin.running()), total=sum(each.count for each in groups),
    )  # fmt: skip
