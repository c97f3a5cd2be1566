"""HTTP answers of the front: JSON, refusals, and the headers that tell what became of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from schemas.response import Response
from streams.front.access import limits_of_caller
from streams.front.inbound import Inbound
from streams.front.problem_response import HTTP_ID, Api
from streams.front.problem_response import refusal as response_of
from streams.front.problems import Problem, problem_of

JSON: Final = "application/json"

HEADRACE_ID: Final = "x-headrace-id"


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type=JSON, headers=headers)


def lower_headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def speaks_anthropic(request: web.Request) -> bool:
    """Whether the client is one of Anthropic's API: by the path, or by the version that all of them send."""
    return (
        request.path == "/v1/messages"
        or request.path.startswith("/v1/messages/")
        or "anthropic-version" in request.headers
    )


def failed(request: web.Request, response: Response, headers: Mapping[str, str]) -> web.Response:
    return refusal(request, problem_of(response), headers)


def refusal(request: web.Request, problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The problem in the words of the client's API."""
    request_id = (headers or {}).get(HEADRACE_ID) or request.get(HTTP_ID)
    api: Api | None = "anthropic" if speaks_anthropic(request) else None
    return response_of(problem, request.path, headers, api=api, request_id=request_id)


async def tell_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer says which request it is of (OpenAI's clients read `x-request-id`, Anthropic's `request-id`), and what its
    caller's key has left.
    """
    for name, value in limits_of_caller().items():
        response.headers.setdefault(name, value)
    told_id = response.headers.get(HEADRACE_ID) or request.get(HTTP_ID)
    if told_id is not None:
        response.headers.setdefault(HEADRACE_ID, told_id)
        response.headers.setdefault("x-request-id", told_id)
        if speaks_anthropic(request):
            response.headers.setdefault("request-id", told_id)


def told(request_id: str, inbound: Inbound, response: Response) -> dict[str, str]:
    """What became of the request, beside its answer."""
    return {
        HEADRACE_ID: request_id,
        "x-headrace-class": inbound.priority,
        "x-headrace-queue-ms": f"{response.timing.queue_ms:.0f}",
        "x-headrace-provider": response.provider or "",
        "x-headrace-cache": response.cache,
        "x-headrace-attempts": str(response.attempts),
        **({} if response.cost is None else {"x-headrace-cost": response.cost.amount}),
    }


def accepted(request_id: str) -> web.Response:
    return json_reply(
        {"id": request_id, "object": "request", "state": "waiting"},
        202,
        {HEADRACE_ID: request_id, "location": f"/v1/requests/{request_id}", "preference-applied": "respond-async"},
    )
