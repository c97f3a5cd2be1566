"""A cache entry: a cached answer, or the memory that a request has been finished. Shared by all workers.

A record's key is the entry's key, 16 bytes as they are: the cache key of an answer, the identity of a finished request. Its
header `expires_at_ms` says until when it is good (Unix time in milliseconds, decimal), so that a worker keeps entries without
parsing them. A record without a value takes the entry back.

Entries are written with `payload` as the last field, so that a reader can cut the provider's answer out as it came:
`decode_entry` does, and makes sure that it is a JSON object.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import Field, TypeAdapter, model_validator

from schemas.limits import MODEL_CHARS
from schemas.message import Identifier, Instant, Message
from schemas.response import Usage

EXPIRES_AT_MS: Final = "expires_at_ms"
"""The header that says until when an entry is good."""

_MOST_TOKENS: Final = 2**53
_PAYLOAD: Final = b',"payload":'


class CachedAnswer(Message):
    """A provider's answer to a payload. Its record's key is the payload's cache key."""

    kind: Literal["answer"] = "answer"
    model: str
    usage: Usage
    provider: str
    called_model: str | None = Field(None, description="What the provider calls the model that answered.")
    created_at: Instant
    expires_at: Instant
    payload: dict[str, Any] = Field(description="The provider's answer, untouched.")


class CarriedAnswer(Message):
    """An answer that is not in the cache by itself, because its request said so."""

    usage: Usage
    provider: str
    called_model: str | None = Field(None, description="What the provider calls the model that answered.")
    payload: dict[str, Any] = Field(description="The provider's answer, untouched.")


class FinishedRequest(Message):
    """A request that was answered `ok`: sent again, it is answered from here and not paid again.

    Its record's key is made of the three fields that say that two requests are the same one.
    """

    kind: Literal["finished"] = "finished"
    agent_id: Identifier
    request_id: str = Field(min_length=1)
    payload_hash: str = Field(min_length=1, description="Digest of operation and payload, hexadecimal.")
    finished_at: Instant
    expires_at: Instant
    answer_key: str | None = Field(
        None, pattern=r"^([0-9a-f]{2})+$", description="Key of the entry that holds the answer, hexadecimal."
    )
    answer: CarriedAnswer | None = Field(None, description="The answer, where no entry holds it.")

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.answer_key is None) == (self.answer is None):
            raise ValueError("a finished request has either answer_key or answer")
        return self


CacheEntry = Annotated[CachedAnswer | FinishedRequest, Field(discriminator="kind")]

CACHE_ENTRY: TypeAdapter[CachedAnswer | FinishedRequest] = TypeAdapter(CacheEntry)


def parse_cache_entry(value: bytes) -> CachedAnswer | FinishedRequest:
    """Read either kind and check it. Raises pydantic.ValidationError (a ValueError)."""
    return CACHE_ENTRY.validate_json(value)


@dataclass(frozen=True, slots=True)
class EntryAnswer:
    """An answer out of an entry. `payload` is the provider's JSON, byte for byte."""

    payload: bytes
    usage: Usage
    provider: str
    called_model: str | None = None


def encode_answer(
    *,
    model: str,
    payload: bytes,
    usage: Usage,
    provider: str,
    called_model: str | None = None,
    created_at: float,
    expires_at: float,
) -> bytes:
    """The value of a `CachedAnswer`. `payload` is a JSON object, copied in unread; times are Unix seconds."""
    return orjson.dumps(
        {
            "kind": "answer",
            "model": model,
            "usage": _usage(usage),
            "provider": provider,
            "called_model": called_model,
            "created_at": _moment(created_at),
            "expires_at": _moment(expires_at),
            "payload": orjson.Fragment(payload),
        },
        option=orjson.OPT_UTC_Z,
    )


def encode_finished(
    *,
    agent_id: str,
    request_id: str,
    payload_hash: str,
    answer: EntryAnswer | bytes,
    finished_at: float,
    expires_at: float,
) -> bytes:
    """The value of a `FinishedRequest`. `answer` is the answer itself, or the key of the entry that holds it."""
    where: dict[str, Any]
    if isinstance(answer, bytes):
        where = {"answer_key": answer.hex()}
    else:
        carried = {"usage": _usage(answer.usage), "provider": answer.provider, "called_model": answer.called_model}
        where = {"answer": {**carried, "payload": orjson.Fragment(answer.payload)}}
    return orjson.dumps(
        {
            "kind": "finished",
            "agent_id": agent_id,
            "request_id": request_id,
            "payload_hash": payload_hash,
            "finished_at": _moment(finished_at),
            "expires_at": _moment(expires_at),
            **where,
        },
        option=orjson.OPT_UTC_Z,
    )


def decode_entry(value: bytes) -> EntryAnswer | bytes:
    """The answer in an entry, or the key of the entry that holds it.

    Anybody who may write to the topic may have written it, and its payload goes into answers as it is: so that is a JSON object
    and nothing behind it, and names are names. Raises ValueError for what is no entry.
    """
    # In a JSON string every quote is escaped: the first of these is the field, wherever ids and names come from.
    at = value.find(_PAYLOAD)
    if at < 0:
        return _answer_key(value)
    carried = value.endswith(b"}}") and value.startswith(b'{"kind":"finished"')
    closing = 2 if carried else 1
    try:
        head = orjson.loads(value[:at] + b"}" * closing)
        held = head["answer"] if carried else head
        usage, provider, called_model = Usage(**held["usage"]), held["provider"], held.get("called_model")
        payload = value[at + len(_PAYLOAD) : -closing]
        if type(orjson.loads(payload)) is not dict:
            raise TypeError("the payload is no object")
        if not (_is_name(provider) and (called_model is None or _is_name(called_model))):
            raise TypeError("a name is no string")
        if not all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in _usage(usage).values()):
            raise TypeError("usage is no counts")
        return EntryAnswer(payload, usage, provider, called_model)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no cache entry: {error!r}") from error


def _answer_key(value: bytes) -> bytes:
    try:
        return bytes.fromhex(orjson.loads(value)["answer_key"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no cache entry: {error!r}") from error


def _is_name(found: object) -> bool:
    return type(found) is str and len(found) <= MODEL_CHARS


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)
