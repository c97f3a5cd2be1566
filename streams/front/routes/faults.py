"""Whatever goes wrong is an error object with a true status; a fault of ours is logged, and told without its inside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from streams.front.problems import Problem, ProblemError, invalid
from streams.front.routes.replies import refusal

log = structlog.get_logger("headrace.front")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as error:
        return refusal(error.problem, error.headers)
    except web.HTTPRequestEntityTooLarge as error:
        problem = invalid(f"the body is larger than a request may be: {error.text}", code="too_large", status=413)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        problem = Problem(error.status, "invalid_request_error", "http", error.reason)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("a request failed in the front", path=request.path)
        problem = Problem(500, "server_error", "internal", "a fault of the front's own", retryable=True)
    return refusal(problem)
