"""The OpenAI wire format: what is sent, and what an answer says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.errors import clip
from schemas.request import Operation, Request
from schemas.response import NO_USAGE, ErrorType, Usage

PATHS: Final[dict[Operation, str]] = {"chat.completions": "/chat/completions", "embeddings": "/embeddings"}

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed. 529 is "overloaded" at several providers."""

_MOST_TOKENS = 1_000_000_000_000
"""A count beyond it is nonsense; sums of 64-bit counts could not be written into a response."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: its body, JSON as it came, and the tokens that it says were used."""

    body: bytes
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call brought no answer."""

    type: ErrorType
    message: str
    retryable: bool
    retry_after_s: float | None = None


def encode(request: Request) -> bytes:
    """The request body: the payload with its unknown fields intact; only streaming is forced off."""
    payload: dict[str, Any] = request.payload
    if payload.get("stream"):
        payload = {name: value for name, value in payload.items() if name != "stream_options"} | {"stream": False}
    return orjson.dumps(payload)


def decode(status: int, body: bytes, retry_after: str | None) -> Answer | Failure:
    """Read an answer of any status."""
    if status != 200:
        passing = status in _PASSING
        message = clip(f"the provider answered {status}: {_error_message(body)}")
        return Failure("provider_error", message, passing, _seconds(retry_after) if passing else None)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Failure("provider_error", "the provider's answer is not JSON", retryable=True)
    if type(found) is not dict:
        return Failure("provider_error", "the provider's answer is not a JSON object", retryable=True)
    return Answer(body, _usage(found.get("usage")))


def _usage(found: Any) -> Usage:
    if type(found) is not dict:
        return NO_USAGE
    prompt, completion = _tokens(found.get("prompt_tokens")), _tokens(found.get("completion_tokens"))
    return Usage(prompt, completion, _tokens(found.get("total_tokens")) or prompt + completion)


def _tokens(found: Any) -> int:
    return found if type(found) is int and 0 <= found <= _MOST_TOKENS else 0


def _error_message(body: bytes) -> str:
    """What the provider says is wrong, if it says it in words in the usual place; never the rest of its body, which may
    quote the prompt.
    """
    try:
        error = orjson.loads(body)["error"]
        message = error["message"] if type(error) is dict else error
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = None
    return message if type(message) is str and message else "no reason given"


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
