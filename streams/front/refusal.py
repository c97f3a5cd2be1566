"""A problem as a response, in the error body of the API that was called. Pure but for the response object.

Anthropic's types and body: https://docs.anthropic.com/en/api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import orjson
from aiohttp import web

from streams.front.problems import Problem

Api = Literal["openai", "anthropic", "other"]

_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def api_of(path: str) -> Api:
    """Whose API a path belongs to.

    >>> api_of("/v1/messages"), api_of("/v1/messages/count_tokens"), api_of("/v1/embeddings"), api_of("/favicon.ico")
    ('anthropic', 'anthropic', 'openai', 'other')
    """
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    return "openai" if path.startswith("/v1/") else "other"


def refusal(problem: Problem, path: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response to a request of this path that gets no answer."""
    body = _anthropic_body(problem) if api_of(path) == "anthropic" else problem.body()
    asked = {"www-authenticate": "Bearer"} if problem.status == 401 else {}
    return web.Response(
        body=body,
        status=problem.status,
        content_type="application/json",
        headers={**problem.headers(), **asked, **(headers or {})},
    )


def _anthropic_body(problem: Problem) -> bytes:
    kind = _ANTHROPIC_TYPES.get(problem.status, "invalid_request_error" if problem.status < 500 else "api_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": problem.message}})
