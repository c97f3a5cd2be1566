"""What a wire format must do: say what is sent, and read what comes back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from schemas.errors import clip
from schemas.request import Operation, Request
from schemas.response import NO_USAGE, ErrorType, Usage

_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed. 529 is "overloaded" at several providers."""

_MOST_TOKENS: Final = 1_000_000_000_000
"""A count beyond it is nonsense; sums of 64-bit counts could not be written into a response."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: its body, JSON in the OpenAI format, and the tokens that it says were used."""

    body: bytes
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call brought no answer."""

    type: ErrorType
    message: str
    retryable: bool
    retry_after_s: float | None = None
    ill: bool = False
    """Whether it speaks against the endpoint's health. A refusal by a rate limit does not, nor a wrong request."""
    charged: bool = False
    """Whether the provider may have worked for it, so that its tokens count as used."""
    sent: bool = True
    """False: the provider never saw the call."""


class CannotTranslateError(Exception):
    """A request that the provider's format has no words for; the message says which part of it."""


class Assembler(Protocol):
    """Puts a streamed answer together."""

    def feed(self, data: bytes) -> bool:
        """Take one event's data. Whether it brought a part of the answer's text."""

    @property
    def size_bytes(self) -> int:
        """Bytes of text taken so far."""

    def finish(self) -> Answer | Failure:
        """The whole answer, once the stream has ended."""


class Format(Protocol):
    """A wire format."""

    def path(self, operation: Operation) -> str | None:
        """Where an operation is called, below the endpoint's base; None: the format does not have it."""

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        """Headers of every call, the key's among them."""

    def encode(self, request: Request, *, stream: bool) -> bytes:
        """The request's body. Raises CannotTranslateError."""

    def decode(self, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        """Read an answer of any status that was not streamed."""

    def assembler(self) -> Assembler: ...


def refusal(status: int, body: bytes, headers: Mapping[str, str]) -> Failure:
    """What an answer with another status than 200 means."""
    passing = status in _PASSING
    message = clip(f"the provider answered {status}: {_error_message(body)}")
    wait_s = retry_after_s(headers) if passing else None
    return Failure("provider_error", message, passing, wait_s, ill=status >= 500)


def broken(what: str) -> Failure:
    """An answer that is none."""
    return Failure("provider_error", what, retryable=True, ill=True, charged=True)


def parse(body: bytes) -> dict[str, Any] | Failure:
    """A JSON object, or why there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return broken("the provider's answer is not JSON")
    return found if type(found) is dict else broken("the provider's answer is not a JSON object")


def tokens(found: Any) -> int:
    """A count of tokens; 0 where it is none."""
    return found if type(found) is int and 0 <= found <= _MOST_TOKENS else 0


def usage_of(found: Any) -> Usage:
    """The usage that an answer in the OpenAI format states; zeros for what it does not."""
    if type(found) is not dict:
        return NO_USAGE
    prompt, completion = tokens(found.get("prompt_tokens")), tokens(found.get("completion_tokens"))
    return Usage(prompt, completion, tokens(found.get("total_tokens")) or prompt + completion)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the provider asks to wait: `retry-after-ms` (OpenAI, Azure), else `retry-after` in seconds."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name) or "") * factor
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


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
