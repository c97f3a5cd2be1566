"""A problem as a response, in the error body of the API that was called. Pure but for the response object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import orjson
from aiohttp import web

from streams.front.anthropic.errors import error_object
from streams.front.problems import Problem

Api = Literal["openai", "anthropic", "other"]

HTTP_ID: Final = web.RequestKey("http_id", str)
"""The id of an HTTP request, for its answer's `x-request-id` where no request of the fleet came of it."""


def api_of(path: str) -> Api:
    """Whose API a path belongs to.

    >>> api_of("/v1/messages"), api_of("/v1/messages/count_tokens"), api_of("/v1/embeddings"), api_of("/favicon.ico")
    ('anthropic', 'anthropic', 'openai', 'other')
    """
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    return "openai" if path.startswith("/v1/") else "other"


def refusal(
    problem: Problem,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    api: Api | None = None,
    request_id: str | None = None,
) -> web.Response:
    """The response to a request of this path that gets no answer. `api`: where it is known better than by the path."""
    body = problem.body()
    if (api or api_of(path)) == "anthropic":
        body = orjson.dumps(error_object(problem, request_id))
    asked = {"www-authenticate": "Bearer"} if problem.status == 401 else {}
    return web.Response(
        body=body,
        status=problem.status,
        content_type="application/json",
        headers={**problem.headers(), **asked, **(headers or {})},
    )
