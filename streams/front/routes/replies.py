"""HTTP answers of the front: JSON, refusals, and the headers that tell what became of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from schemas.response import Response
from streams.front.inbound import Inbound
from streams.front.problems import Problem, of_answer, unavailable

JSON: Final = "application/json"


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type=JSON, headers=headers)


def refusal(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=problem.body(), status=problem.status, content_type=JSON, headers={**problem.headers(), **(headers or {})}
    )


def problem_of(response: Response) -> Problem:
    """Why there is no good answer."""
    return of_answer(response.error) if response.error else unavailable("no answer", code="internal")


def failed(response: Response, headers: Mapping[str, str]) -> web.Response:
    return refusal(problem_of(response), headers)


def told(request_id: str, inbound: Inbound, response: Response) -> dict[str, str]:
    """What became of the request, beside its answer."""
    return {
        "x-headrace-id": request_id,
        "x-headrace-class": inbound.priority,
        "x-headrace-queue-ms": f"{response.timing.queue_ms:.0f}",
        "x-headrace-provider": response.provider or "",
        "x-headrace-cache": response.cache,
        "x-headrace-attempts": str(response.attempts),
    }


def accepted(request_id: str) -> web.Response:
    return json_reply(
        {"id": request_id, "object": "request", "state": "waiting"},
        202,
        {"x-headrace-id": request_id, "location": f"/v1/requests/{request_id}", "preference-applied": "respond-async"},
    )
