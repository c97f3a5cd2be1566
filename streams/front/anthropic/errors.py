"""A problem as the Messages API tells it. Pure.

Types and their statuses: https://docs.claude.com/en/api/errors. What they have no name
for is an `api_error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.front.problems import Problem

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_object(problem: Problem, request_id: str | None = None) -> dict[str, Any]:
    """The body of a refusal, and the data of a stream's `error` event.

    >>> error_object(Problem(404, "invalid_request_error", "http", "Not Found"))
    {'type': 'error', 'error': {'type': 'not_found_error', 'message': 'Not Found'}, 'request_id': None}
    """
    fallback = "invalid_request_error" if problem.status < 500 else "api_error"
    kind = _TYPES.get(problem.status, fallback)
    return {"type": "error", "error": {"type": kind, "message": problem.message}, "request_id": request_id}
