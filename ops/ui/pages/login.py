"""Log in with a token: a form, a session, and no more tries than a person makes."""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from ops.ui.access import FORM_COOKIE, SESSION_COOKIE
from ops.ui.render import html
from ops.ui.room import ROOM
from ops.ui.sessions import SESSION_S

log = structlog.get_logger("headrace.ui")

_MOST_TOKEN_CHARS: Final = 4096


async def form(request: web.Request) -> web.Response:
    """GET /login"""
    return _page(request, None)


async def login(request: web.Request) -> web.Response:
    """POST /login: `token`, and the form's own token, which its cookie has too."""
    access = request.app[ROOM].access
    now, address = access.now(), request.remote or "?"
    if (wait_s := access.tries.wait_s(address, now)) > 0:
        response = _page(request, "too many tries: wait a minute", 429)
        response.headers["Retry-After"] = str(round(wait_s) + 1)
        return response
    given = await request.post()
    form_token, token = (str(given.get(name, ""))[:_MOST_TOKEN_CHARS] for name in ("form", "token"))
    if not access.sessions.is_form_token(form_token, request.cookies.get(FORM_COOKIE, ""), now):
        return _page(request, "this form is old: try again", 403)
    role = access.sessions.role_of_token(token)
    if role is None:
        access.tries.failed(address, now)
        log.warning("a login was refused", address=address)
        return _page(request, "this token is not known", 401)
    response = web.Response(status=303, headers={"Location": _inside(str(given.get("to", "/")))})
    session = access.sessions.open(role, now)
    secure = request.headers.get("X-Forwarded-Proto") == "https"
    response.set_cookie(
        SESSION_COOKIE, session, max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=secure
    )
    response.del_cookie(FORM_COOKIE)
    return response


def _page(request: web.Request, problem: str | None, status: int = 200) -> web.Response:
    access = request.app[ROOM].access
    token = access.sessions.form_token(access.now())
    to = _inside(request.query.get("to", "/"))
    response = html(request, "login.html", status=status, problem=problem, form_token=token, to=to)
    response.set_cookie(FORM_COOKIE, token, max_age=3600, httponly=True, samesite="Strict")
    return response


def _inside(to: str) -> str:
    """A page of ours; anything that a browser might take for another site's is the first page.

    >>> _inside("/requests?a=b"), _inside("//evil.example"), _inside("/\\\\evil.example"), _inside("https://evil.example")
    ('/requests?a=b', '/', '/', '/')
    """
    good = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and "\\" not in to
    return to if good and len(to) < 4096 else "/"
