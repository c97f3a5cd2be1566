"""Who may see the pages: a middleware in front of all of them.

On loopback without a token or a proxy everybody is a viewer, with `ui.allow_actions` an operator. Else a role comes from a
session, a bearer token, or the header of a proxy at an address that is believed. Whatever else's name leads here is refused (DNS
rebinding: streams/hosts.py), and what changes something comes from a form of ours alone. Pages ask `role_of` and
`may_see_payloads`; what acts asks for an operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ops.ui.sessions import LoginTries, Role, Sessions
from streams.hosts import is_asked_for_by_name
from streams.settings.ui import Ui

SESSION_COOKIE: Final = "headrace_ui"
FORM_COOKIE: Final = "headrace_ui_form"
_OPEN: Final = ("/healthz", "/readyz", "/login", "/static/")
_ROLE: Final = web.RequestKey("role", str)
_USER: Final = web.RequestKey("user", str)


class Access:
    """Lets requests in. `now` is Unix seconds."""

    def __init__(self, ui: Ui, sessions: Sessions, now: Callable[[], float] = time.time) -> None:
        self.sessions = sessions
        self.tries = LoginTries()
        self.now = now
        self._ui = ui
        self.open_to_all = not sessions.tokens and ui.proxy.header is None
        """Whether nobody has to log in: `run_ui` allows that on loopback only."""
        self.may_act = not self.open_to_all or ui.allow_actions
        """Whether anybody may be an operator."""

    def middleware(self) -> Middleware:
        @web.middleware
        async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
            host = request.headers.get("Host")
            if host is None or not is_asked_for_by_name(host, self._ui.hosts):
                raise web.HTTPForbidden(text="not by this Host: see ui.hosts\n")
            if request.method not in ("GET", "HEAD") and not _is_from_here(request, host):
                raise web.HTTPForbidden(text="not from a page of another site\n")
            role = self._role(request)
            if role is not None:
                request[_ROLE] = role
            elif not request.path.startswith(_OPEN):
                if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                    raise web.HTTPSeeOther(f"/login?to={quote(request.path_qs, safe='')}")
                raise web.HTTPUnauthorized(text="log in at /login, or bring a token: Authorization: Bearer\n")
            return await handler(request)

        return access

    def may_see_payloads(self, request: web.Request) -> bool:
        """Whether who asks may see what requests and answers say."""
        wanted = self._ui.payloads
        return wanted != "nobody" and (wanted == "viewer" or role_of(request) == "operator")

    def _role(self, request: web.Request) -> Role | None:
        if self.open_to_all:
            return "operator" if self._ui.allow_actions else "viewer"
        proxy = self._ui.proxy
        if proxy.header is not None and request.remote in proxy.addresses:
            user = request.headers.get(proxy.header, "").strip()
            if user:
                request[_USER] = user
                return "operator" if user in proxy.operators else "viewer"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.sessions.role_of_token(token.strip())
        return self.sessions.role_of_session(request.cookies.get(SESSION_COOKIE, ""), self.now())


def role_of(request: web.Request) -> Role | None:
    """The role of who asks; None where nobody has logged in, on pages that are open."""
    return "operator" if request.get(_ROLE) == "operator" else "viewer" if _ROLE in request else None


def user_of(request: web.Request) -> str | None:
    """Who asks, as a proxy has named them."""
    return request.get(_USER)


def _is_from_here(request: web.Request, host: str) -> bool:
    """Browsers say where a form stands, old ones by Origin alone; what is no browser says nothing, and carries no cookie."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == host
