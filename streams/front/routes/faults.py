"""Whatever goes wrong is an error object with a true status; a fault of ours is logged, and told without its inside."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from streams.front.problem_response import HTTP_ID
from streams.front.problems import Problem, ProblemError, invalid
from streams.front.routes.replies import refusal

log = structlog.get_logger("headrace.front")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CODES: Final = {404: "unknown_path", 405: "unknown_method"}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    if HTTP_ID not in request:  # where access control has given none
        request[HTTP_ID] = f"req_{secrets.token_hex(12)}"
    headers: dict[str, str] = {}
    try:
        return await handler(request)
    except ProblemError as error:
        problem, headers = error.problem, dict(error.headers)
    except web.HTTPRequestEntityTooLarge as error:
        problem = invalid(f"the body is larger than a request may be: {error.text}", code="too_large", status=413)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = f"{error.reason}: {request.method} {request.path[:200]}"
        problem = invalid(message, code=_CODES.get(error.status, "http"), status=error.status)
        headers = {"allow": error.headers["allow"]} if "allow" in error.headers else {}
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("a request failed in the front", path=request.path)
        problem = Problem(500, "server_error", "internal", "a fault of the front's own", retryable=True)
    return refusal(request, problem, headers)
