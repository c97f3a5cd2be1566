"""Requests: typed filters in the URL, a histogram to pick a range, pages by a cursor; and one found by its id."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from ops.ui.index import codes, queries
from ops.ui.index.cursor import CursorError, read_cursor
from ops.ui.index.filters import FilterError, Filters, read_filters
from ops.ui.index.places import Places
from ops.ui.index.row import Row
from ops.ui.index.store import IndexStore
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from topics.names import PRIORITIES

_ON_A_PAGE: Final = 50
_BARS_OVER_MS: Final = 3_600_000
"""Where no range is asked for: the last hour."""

_WORDS: Final = {
    "status": codes.STATUSES,
    "priority": PRIORITIES,
    "error": codes.ERRORS[1:],
    "reason": codes.REASONS[1:],
    "cache": codes.CACHES[1:],
}


PRESETS: Final = (
    ("Failed in the last hour", "/requests?status=error&status=expired&status=dead&since=1h"),
    ("Slower than 10 s, last hour", "/requests?slower=10000&since=1h"),
    ("Without an answer", "/requests?status=waiting"),
    ("Refused, last 24 h", "/requests?status=rejected&since=24h"),
)
"""Views that everybody has; those that somebody saves are kept by their browser, and each is its URL."""


async def requests(request: web.Request) -> web.Response:
    """GET /requests"""
    room = request.app[ROOM]
    query = {name: request.query.getall(name) for name in request.query}
    words = {**_WORDS, "tenant": room.reader.places.tenants}
    values: dict[str, Any] = {
        "problem": None,
        "bars": None,
        "filters": shown_filters(Filters()),
        "words": words,
        "presets": PRESETS,
    }
    status = 200
    try:
        filters = read_filters(query)
        below = read_cursor(query["before"][-1]) if "before" in query else None
        values |= await _found(room, filters, below)
    except (FilterError, CursorError) as error:
        values["problem"], status = str(error), 400
    name = "found.html" if request.headers.get("HX-Request") == "true" else "requests.html"
    return html(request, name, status=status, **values)


async def _found(room: Room, filters: Filters, below: Any) -> dict[str, Any]:
    now_ms = round(room.now() * 1000)
    asked = filters.at(now_ms)
    page = await room.query(queries.page, asked, below, _ON_A_PAGE)
    end_ms = asked.to_ms or now_ms
    begin_ms = asked.from_ms if asked.from_ms is not None else max(0, end_ms - _BARS_OVER_MS)
    bars = None
    if below is None and begin_ms < end_ms:
        bars = await room.query(queries.bars, asked, begin_ms, end_ms)
    return {
        "filters": shown_filters(filters),
        "page": page,
        "older_url": None if page.older is None else url("/requests", filters, before=str(page.older)),
        "bars": bars,
        "bars_data": None if bars is None else _bars_data(bars),
        "ranges": [
            (
                f"last {text}",
                url("/requests", Filters(**{**_fields(filters), "since": text, "from_ms": None, "to_ms": None})),
            )
            for text in ("5m", "15m", "1h", "6h", "24h")
        ],
    }


async def find(request: web.Request) -> web.Response:
    """GET /find: to the request with this id or place; to a choice where there are several."""
    room = request.app[ROOM]
    wanted = request.query.get("id", "").strip()[:1024]
    rows = await room.query(_find, wanted, room.reader.places)
    if len(rows) == 1:
        (row,) = rows
        raise web.HTTPSeeOther(f"/requests/{row.queue}/{row.partition}/{row.offset}")
    return html(request, "choose.html", status=200 if rows else 404, rows=rows, wanted=wanted, behind=room.reader.lag)


def _find(store: IndexStore, wanted: str, places: Places) -> list[Row]:
    place = places.read(wanted)
    row = None if place is None else queries.row_at(store, place)
    return [row] if row is not None else queries.rows_of_id(store, wanted)


def url(path: str, filters: Filters, **more: str) -> str:
    """The address of a view."""
    query = urlencode([*filters.query(), *more.items()])
    return f"{path}?{query}" if query else path


def shown_filters(filters: Filters) -> dict[str, Any]:
    """As the form has them."""
    written = dict(filters.query())
    return {**_fields(filters), "from_text": written.get("from", ""), "to_text": written.get("to", "")}


def _fields(filters: Filters) -> dict[str, Any]:
    return {name: getattr(filters, name) for name in Filters.__slots__}


def _bars_data(bars: queries.Bars) -> dict[str, Any]:
    failed = (codes.ERROR, codes.EXPIRED, codes.DEAD)
    return {
        "times": [(bars.begin_ms + number * bars.width_ms) / 1000 for number in range(len(bars.counts))],
        "width": bars.width_ms / 1000,
        "all": [sum(each) for each in bars.counts],
        "failed": [sum(each[status] for status in failed) for each in bars.counts],
    }
