"""What went wrong, as HTTP clients and the OpenAI SDKs expect it: a true status, an error object, and whether to try again. Pure.

The SDKs try again by themselves after 408, 409, 429 and 5xx, unless `x-should-retry` says otherwise, and wait as `retry-after-ms`
says (openai-python, `_base_client.py`). What is told as retryable here is what the contract calls so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.response import Response, WireError


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no answer."""

    status: int
    """Of HTTP, 400 to 599."""
    type: str
    """The error's type as OpenAI names it: `invalid_request_error`, `rate_limit_error`, `server_error`."""
    code: str
    message: str
    param: str | None = None
    retryable: bool = False
    retry_after_s: float | None = None

    def body(self) -> bytes:
        """OpenAI's error object as JSON."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})

    def headers(self) -> dict[str, str]:
        """What tells an SDK whether, and when, to try again."""
        told = {"x-should-retry": "true" if self.retryable else "false"}
        if self.retry_after_s is not None:
            told["retry-after-ms"] = str(round(self.retry_after_s * 1000))
            told["retry-after"] = str(max(1, round(self.retry_after_s)))
        return told


class ProblemError(Exception):
    """An HTTP request that gets no answer, and why. `headers`: what is known of the request that was published."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.headers = headers or {}


_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

_OF_THE_FLEET: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (400, _INVALID),
    "too_large": (413, _INVALID),
    "exceeds_limit": (400, _INVALID),
    "queue_full": (429, "rate_limit_error"),
    "deadline": (504, _SERVER),
    "provider_error": (502, _SERVER),
    "provider_timeout": (504, _SERVER),
    "provider_unavailable": (503, _SERVER),
    "answer_too_large": (502, _SERVER),
    "invalid_reply_to": (500, _SERVER),
    "internal": (500, _SERVER),
    "budget_exceeded": (402, "insufficient_quota"),  # no SDK tries 402 again by itself, as they do 429
    "cancelled": (499, _INVALID),  # as google.rpc.Code maps CANCELLED, and nginx logs it
}
_QUEUE_FULL_RETRY_S: Final = 1.0
_WOULD_WAIT: Final = re.compile(r"it would wait (\d+(?:\.\d+)?) s\b", re.ASCII)
"""How streams/flow/refusals.py says that a request was not queued, because its time would end before its turn."""


def invalid(message: str, *, code: str = "invalid_request", param: str | None = None, status: int = 400) -> Problem:
    """The client's own mistake."""
    return Problem(status, _INVALID, code, message, param)


def unavailable(message: str, *, code: str, status: int = 503, retry_after_s: float | None = 1.0) -> Problem:
    """Nobody's mistake that the client could mend; it may try again."""
    kind = "rate_limit_error" if status == 429 else _SERVER
    return Problem(status, kind, code, message, retryable=True, retry_after_s=retry_after_s)


def problem_of(response: Response) -> Problem:
    """Why a response of the fleet is no good answer."""
    return of_answer(response.error) if response.error else unavailable("no answer", code="internal")


def of_answer(error: WireError) -> Problem:
    """The problem that a response of the fleet tells of.

    A provider's refusal that trying again cannot change is about the request: 400, as the provider itself would have said. One
    whose predicted wait is longer than its time was never queued: 429, and when to come again.
    """
    status, kind = _OF_THE_FLEET.get(error.type, (500, _SERVER))
    wait_s = _QUEUE_FULL_RETRY_S if error.type == "queue_full" else None
    if error.type == "deadline" and (predicted := _WOULD_WAIT.match(error.message)):
        status, kind, wait_s = 429, "rate_limit_error", float(predicted[1])
    if error.type == "provider_error" and not error.retryable:
        status, kind = 400, _INVALID
    return Problem(status, kind, error.type, error.message, retryable=error.retryable, retry_after_s=wait_s)
