"""Pages out of templates: everything is escaped, and every page has the same frame."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.ui import text
from ops.ui.access import role_of, user_of
from ops.ui.index import codes

PAGES: Final = (
    ("/", "Overview"),
    ("/queues", "Queues"),
    ("/requests", "Requests"),
    ("/tail", "Live tail"),
    ("/dead-letters", "Dead letters"),
    ("/limits", "Limits"),
    ("/cost", "Costs"),
    ("/providers", "Providers and workers"),
    ("/scaling", "Scaling"),
    ("/cache", "Cache"),
    ("/audit", "Audit"),
    ("/settings", "Settings"),
)

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("ops.ui"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=text.shown,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    moment=text.moment,
    duration=text.duration,
    count=text.count,
    share=text.share,
    size=text.size,
    status_word=partial(codes.word_of, codes.STATUSES),
    error_word=partial(codes.word_of, codes.ERRORS),
    reason_word=partial(codes.word_of, codes.REASONS),
    cache_word=partial(codes.word_of, codes.CACHES),
)


def render(name: str, **values: Any) -> str:
    """A template as text."""
    return _ENVIRONMENT.get_template(name).render(**values)


def html(request: web.Request, name: str, *, status: int = 200, **values: Any) -> web.Response:
    """A whole page; or, where htmx asks for a part, the part alone: the template `NAME` is then extended by nothing."""
    frame = "part.html" if request.headers.get("HX-Request") == "true" else "frame.html"
    here = next((path for path, _ in reversed(PAGES) if path != "/" and request.path.startswith(path)), "/")
    body = render(name, frame=frame, pages=PAGES, here=here, role=role_of(request), user=user_of(request), **values)
    return web.Response(text=body, status=status, content_type="text/html")
