"""A response: what came of a request.

`Response` reads and checks one; `encode_response` writes one. Writing is on the hot path (a cache hit is little
else) and goes straight to bytes: 1.5 µs against 5 and more through the model, and 0.6 for a hit among others
(`HitEncoder`). A test holds the three to the same fields.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field

from schemas import limits
from schemas.cost import NO_COST, Cost
from schemas.message import Count, Identifier, Instant, Message, NonNegative

Status = Literal["ok", "error", "expired", "rejected"]
"""How a request ended."""

ErrorType = Literal[
    "invalid_request",
    "invalid_reply_to",
    "too_large",
    "exceeds_limit",
    "queue_full",
    "deadline",
    "provider_error",
    "provider_timeout",
    "provider_unavailable",
    "answer_too_large",
    "internal",
    "cancelled",
    "budget_exceeded",
]
"""The wire's error types. A new one is only for answers that nobody gets who does not use what it belongs to: `cancelled` came so
(docs/decisions/0044-cancelling.md), `budget_exceeded` too. Else it needs a new version of the contract."""

CacheResult = Literal["none", "memory", "disk", "joined"]
"""Where an answer came from: a provider call of its own, a cache tier, or another request's identical call."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = 0


@dataclass(frozen=True, slots=True)
class WireError:
    """Why there is no answer. `retryable` says whether the same request may succeed later."""

    type: ErrorType
    message: Annotated[str, Field(max_length=limits.ERROR_MESSAGE_BYTES)]
    retryable: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in milliseconds. `total_ms` counts from the record's timestamp."""

    queue_ms: NonNegative
    provider_ms: NonNegative
    total_ms: NonNegative


NO_USAGE: Final = Usage()


class Response(Message):
    """One response. A request may be answered twice: the first terminal response counts."""

    request_id: str = Field(min_length=1)
    agent_id: Identifier | None = Field(description="None only where a rejected record named no agent.")
    conversation_id: Identifier | None = None
    status: Status
    payload: dict[str, Any] | None = Field(None, description="The provider's answer, untouched; null unless ok.")
    error: WireError | None = None
    usage: Usage = NO_USAGE
    cache: CacheResult = "none"
    provider: str | None = None
    model: str | None = Field(
        None, description="The model that was called, as the provider calls it; null where none was."
    )
    attempts: Count = Field(0, description="Provider calls made for this request.")
    cost: Cost | None = Field(NO_COST, description="What its own calls cost; null where nobody knows the price.")
    timing: Timing
    completed_at: Instant


def encode_response(
    *,
    request_id: str,
    agent_id: str | None,
    conversation_id: str | None = None,
    status: Status,
    payload: dict[str, Any] | bytes | None = None,
    error: WireError | None = None,
    usage: Usage = NO_USAGE,
    cache: CacheResult = "none",
    provider: str | None = None,
    model: str | None = None,
    attempts: int = 0,
    cost: Cost | None = NO_COST,
    queue_ms: float,
    provider_ms: float,
    total_ms: float,
    completed_at: datetime,
) -> bytes:
    """The value of a response as UTF-8 JSON.

    `payload` may be JSON that is encoded already (bytes): it is copied in unread. `completed_at` needs a zone.

    Raises orjson.JSONEncodeError (a TypeError) where the payload cannot be written as JSON.
    """
    return orjson.dumps(
        {
            "request_id": request_id,
            "agent_id": agent_id,
            "conversation_id": conversation_id,
            "status": status,
            "payload": orjson.Fragment(payload) if type(payload) is bytes else payload,
            "error": error,
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
            },
            "cache": cache,
            "provider": provider,
            "model": model,
            "attempts": attempts,
            "cost": cost,
            "timing": {"queue_ms": queue_ms, "provider_ms": provider_ms, "total_ms": total_ms},
            "completed_at": completed_at,
        },
        option=orjson.OPT_UTC_Z,
    )


class HitEncoder:
    """Writes responses to cache hits of one moment: what `encode_response` writes, the fields in another order.

    `written_at` is the moment as RFC 3339.
    """

    def __init__(self, cache: CacheResult, written_at: bytes) -> None:
        self._cache = cache
        self._written_at = written_at
        self._shared: dict[tuple[str, str | None], bytes] = {}

    def encode(
        self,
        request_id: str,
        agent_id: str,
        conversation_id: str | None,
        payload: bytes,
        provider: str,
        model: str | None,
        waited_ms: float,
    ) -> bytes:
        """The value of a response as UTF-8 JSON. `payload` is JSON; it is copied in unread."""
        called = (provider, model)
        shared = self._shared.get(called)
        if shared is None:
            shared = self._shared[called] = self._encode_shared(provider, model)
        waited = b"%.3f" % waited_ms
        return b"".join(
            (
                b'{"request_id":',
                orjson.dumps(request_id),
                b',"agent_id":',
                orjson.dumps(agent_id),
                b',"conversation_id":',
                orjson.dumps(conversation_id),
                b',"payload":',
                payload,
                shared,
                waited,
                b',"provider_ms":0.0,"total_ms":',
                waited,
                b"}}",
            )
        )

    def _encode_shared(self, provider: str, model: str | None) -> bytes:
        fields = {
            "status": "ok",
            "error": None,
            "usage": NO_USAGE,
            "cache": self._cache,
            "provider": provider,
            "model": model,
            "attempts": 0,
            "cost": NO_COST,
            "completed_at": self._written_at.decode(),
        }
        return b"," + orjson.dumps(fields)[1:-1] + b',"timing":{"queue_ms":'
