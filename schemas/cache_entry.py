"""A cache entry: a cached answer, or the memory that a request has been finished. Shared by all workers."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Identifier, Instant, Message
from schemas.response import Usage


class CachedAnswer(Message):
    """A provider's answer to a payload. Its record's key is the payload's cache key."""

    kind: Literal["answer"] = "answer"
    model: str
    payload: dict[str, Any]
    usage: Usage
    provider: str
    created_at: Instant
    expires_at: Instant


class FinishedRequest(Message):
    """A request that was answered `ok`: sent again, it is answered from here and not paid again.

    Its record's key is made of the three fields that say that two requests are the same one.
    """

    kind: Literal["finished"] = "finished"
    agent_id: Identifier
    request_id: str = Field(min_length=1)
    payload_hash: str = Field(min_length=1)
    response: dict[str, Any] = Field(description="The response's value, as it was sent.")
    finished_at: Instant
    expires_at: Instant


CacheEntry = Annotated[CachedAnswer | FinishedRequest, Field(discriminator="kind")]

CACHE_ENTRY: TypeAdapter[CachedAnswer | FinishedRequest] = TypeAdapter(CacheEntry)


def parse_cache_entry(value: bytes) -> CachedAnswer | FinishedRequest:
    """Read either kind. Raises pydantic.ValidationError (a ValueError)."""
    return CACHE_ENTRY.validate_json(value)
