"""The pages as an application: which path is whose, and what stands before all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ops.processes.health import health_routes
from ops.ui.pages import (
    acting,
    audit,
    cache,
    cost,
    dead_letters,
    limits,
    live,
    login,
    overview,
    providers,
    queues,
    requests,
    scaling,
    settings,
    tail,
)
from ops.ui.pages import request as one_request
from ops.ui.render import html
from ops.ui.responses import secured
from ops.ui.room import ROOM, Room

log = structlog.get_logger("headrace.ui")

_STATIC: Final = Path(__file__).with_name("static")
_MOST_BODY: Final = 64 * 1024


def ui_app(room: Room, ready: Callable[[], bool]) -> web.Application:
    """The application; `room` is what its pages share."""
    app = web.Application(
        middlewares=[secured(), room.access.middleware(), _told_as_pages()], client_max_size=_MOST_BODY
    )
    app[ROOM] = room
    app[live.WATCHING] = set()
    app.add_routes(health_routes(ready)[:2])
    app.add_routes(
        [
            web.get("/", overview.overview),
            web.get("/requests", requests.requests),
            web.get(
                r"/requests/{class:(?:[a-z0-9-]{1,40}\.)?(?:high|normal|low)}/{partition:\d{1,5}}/{offset:\d{1,15}}",
                one_request.one_request,
            ),
            web.get("/queues", queues.queues),
            web.get("/tail", tail.tail),
            web.get("/tail/events", tail.tail_events),
            web.get("/dead-letters", dead_letters.dead_letters),
            web.get("/limits", limits.limits),
            web.get("/cost", cost.cost),
            web.get("/cost.csv", cost.cost_csv),
            web.get("/providers", providers.providers),
            web.get("/scaling", scaling.scaling),
            web.get("/audit", audit.audit),
            web.get("/api/audit", audit.audit_json),
            web.get("/act", acting.confirm),
            web.post("/act", acting.act),
            web.post("/api/actions", acting.act_json),
            web.get("/scaling/what-if", scaling.what_if),
            web.get("/cache", cache.cache),
            web.get("/settings", settings.settings),
            web.get("/find", requests.find),
            web.get("/events", live.events),
            web.get("/login", login.form),
            web.post("/login", login.login),
            web.static("/static", _STATIC),
        ]
    )
    return app


def _told_as_pages() -> Middleware:
    """What went wrong, as a page for who asked for a page. A fault's words stay in the log."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400 or "text/html" not in request.headers.get("Accept", ""):
                raise
            return html(request, "message.html", status=error.status, title=error.reason, message=error.text or "")
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("a page failed", path=request.path, kind=type(error).__name__)
            message = "A fault of Headrace's own: its log says more."
            return html(request, "message.html", status=500, title="This page failed", message=message)

    return told
