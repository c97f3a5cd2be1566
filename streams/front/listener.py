"""Where clients connect: a socket whose connections are guarded (guards.py), and answers to what is no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from streams.front.guards import Bounds, Guards
from streams.front.problem_response import refusal
from streams.front.problems import invalid
from streams.front.tls import Certificate
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.front")

_BACKLOG: Final = 1024
_HANDSHAKE_S: Final = 10.0
_MOST_HEADERS: Final = 128
_HEADER_BYTES: Final = 16_384
_OF_CLIENTS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
_LINGER_S: Final = 2.0
"""How long what is left of a refused body is still taken, so that its client can read the refusal."""


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    bounds: Bounds,
    certificate: Certificate | None = None,
    *,
    last_answers_s: float,
) -> AsyncIterator[str]:
    """Serve while the block runs; gives the address. Then take nothing new, and wait for `last_answers_s` for what is under way.

    Raises OSError where the address is taken.
    """
    guards = Guards(bounds)
    app.middlewares[:] = [guards.middleware(), *app.middlewares]
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=last_answers_s)
    await runner.setup()
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.Protocol:
        handler = _Handler(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=2 * bounds.idle_s,  # ours comes first
            lingering_time=_LINGER_S,
            max_headers=_MOST_HEADERS,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        return guards.guard(handler)

    listener = await loop.create_server(
        connection,
        host,
        port,
        backlog=_BACKLOG,
        ssl=None if certificate is None else certificate.context,
        ssl_handshake_timeout=None if certificate is None else _HANDSHAKE_S,
    )
    try:
        metrics.FRONT_CONNECTIONS.set_function(lambda: len(guards))
        bound, number, *_ = listener.sockets[0].getsockname()
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://[{bound}]:{number}" if ":" in bound else f"{scheme}://{bound}:{number}"
    finally:
        listener.close()
        guards.close_idle()
        await runner.cleanup()


class _Handler(web.RequestHandler):
    """aiohttp's, but for what becomes of a request that is no HTTP.

    aiohttp quotes its headers, keys among them, to the client and to the log, with a stack each: here their kind is enough.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        kind = type(exc).__name__
        self.log_exception(exc_info=exc)
        if isinstance(exc, ConnectionError):
            raise exc  # its client has gone: nobody is left to tell
        metrics.FRONT_HTTP.labels("other", f"{status // 100}xx").inc()
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        response = refusal(invalid(f"this is no HTTP request that can be read: {kind}", code="http", status=status), "")
        response.force_close()
        return response

    def log_exception(self, *_: object, exc_info: BaseException | None = None, **__: object) -> None:
        if isinstance(exc_info, _OF_CLIENTS):
            log.debug("a request that is no HTTP, or whose client has gone", kind=type(exc_info).__name__)
        else:
            log.error("a connection failed in the front", kind=type(exc_info).__name__)
