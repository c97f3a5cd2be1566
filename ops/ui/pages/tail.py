"""Live tail: requests as they change, newest first, with the filters of Requests. Paused or hidden it asks nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from aiohttp import web

from ops.ui.index import codes, queries
from ops.ui.index.filters import FilterError, Filters, read_filters
from ops.ui.index.row import Row
from ops.ui.pages.live import open_stream, sleep_unless
from ops.ui.pages.requests import shown_filters, url
from ops.ui.render import html, render
from ops.ui.room import ROOM
from topics.names import PRIORITIES

_NOT_OFTENER_S: Final = 1.0
_AT_ONCE: Final = 50
_REMEMBERED: Final = 1_000
_BACK_MS: Final = 120_000
"""Answers change requests that came before: so far back is looked for what is new."""
_LONGEST_S: Final = 3600.0


async def tail(request: web.Request) -> web.Response:
    """GET /tail"""
    query = {name: request.query.getall(name) for name in request.query}
    problem, filters = None, Filters()
    try:
        filters = read_filters(query)
    except FilterError as error:
        problem = str(error)
    words = {"status": codes.STATUSES, "priority": PRIORITIES, "tenant": request.app[ROOM].reader.places.tenants}
    return html(
        request, "tail.html", status=400 if problem else 200, problem=problem, words=words,
        filters=shown_filters(filters), stream_url=url("/tail/events", filters),
    )  # fmt: skip


async def tail_events(request: web.Request) -> web.StreamResponse:
    """GET /tail/events: `rows`, as rows of a table, at most 50 a second."""
    room = request.app[ROOM]
    try:
        filters = read_filters({name: request.query.getall(name) for name in request.query})
    except FilterError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    stream = await open_stream(request)
    seen: OrderedDict[int, Row] = OrderedDict()
    loop, version = asyncio.get_running_loop(), -1
    until = loop.time() + _LONGEST_S
    while not room.stopping.is_set() and loop.time() < until:
        if room.reader.version != version:
            version = room.reader.version
            wanted = filters.at(round(room.now() * 1000))
            since_ms = max(wanted.from_ms or 0, round(room.now() * 1000) - _BACK_MS)
            page = await room.query(queries.page, wanted, None, 4 * _AT_ONCE)
            new = [row for row in page.rows if row.time_ms >= since_ms and seen.get(row.place) != row][:_AT_ONCE]
            for row in reversed(new):
                seen[row.place] = row
                seen.move_to_end(row.place)
            while len(seen) > _REMEMBERED:
                seen.popitem(last=False)
            if new:
                lines = render("rows.html", rows=new).splitlines()
                await stream.write(("event: rows\n" + "".join(f"data: {line}\n" for line in lines) + "\n").encode())
        await sleep_unless(room.stopping, _NOT_OFTENER_S)
        if not await room.reader.wait_version(version, 15.0) and not room.stopping.is_set():
            await stream.write(b": alive\n\n")
    return stream
