"""What every response carries: a browser runs nothing that is not a file of ours, frames nothing, guesses no type, and tells no
other site where it was. https://owasp.org/www-project-secure-headers/
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOT_KEPT: Final = "no-store"


def secured() -> Middleware:
    """The outermost middleware: errors carry the headers too."""

    @web.middleware
    async def secure(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            _set(error)
            raise
        if not response.prepared:
            _set(response)
        return response

    return secure


def set_headers(response: web.StreamResponse) -> None:
    """For a response that is begun by its handler."""
    _set(response)


def _set(response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", _NOT_KEPT)
