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

from schemas.limits import ID_CHARS, MODEL_CHARS
from schemas.message import Identifier, Instant, Message
from schemas.response import Usage

EXPIRES_AT_MS: Final = "expires_at_ms"
"""The header that says until when an entry is good."""

_MOST_TOKENS: Final = 2**53
_OWNER_CHARS: Final = 16
ENCRYPTED: Final = b'{"kind":"encrypted"'
"""How an encrypted entry begins."""
_PAYLOAD: Final = b',"payload":'


Owner = Annotated[
    str | None,
    Field(
        pattern="^[0-9a-f]{16}$",
        description="Whose request brought it: a digest of tenant and agent_id, by which all of an agent's are deleted.",
    ),
]


class CachedAnswer(Message):
    """A provider's answer to a payload. Its record's key is the payload's cache key."""

    kind: Literal["answer"] = "answer"
    model: str
    usage: Usage
    provider: str
    called_model: str | None = Field(None, description="What the provider calls the model that answered.")
    owner: Owner = None
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
    owner: Owner = None
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


class EncryptedEntry(Message):
    """Either of these, encrypted by a key of its tenant's."""

    kind: Literal["encrypted"] = "encrypted"
    owner: Owner = None
    encrypted_by: str = Field(min_length=1, max_length=ID_CHARS, description="The tenant and the name of its key.")
    data: str = Field(description="12 bytes of nonce, then the entry encrypted by AES-256-GCM, in base64.")


CacheEntry = Annotated[CachedAnswer | FinishedRequest | EncryptedEntry, Field(discriminator="kind")]

CACHE_ENTRY: TypeAdapter[CachedAnswer | FinishedRequest | EncryptedEntry] = TypeAdapter(CacheEntry)


def parse_cache_entry(value: bytes) -> CachedAnswer | FinishedRequest | EncryptedEntry:
    """Read either kind and check it. Raises pydantic.ValidationError (a ValueError)."""
    return CACHE_ENTRY.validate_json(value)


@dataclass(frozen=True, slots=True)
class EntryAnswer:
    """An answer out of an entry. `payload` is the provider's JSON, byte for byte."""

    payload: bytes
    usage: Usage
    provider: str
    called_model: str | None = None
    owner: str = ""


def encode_answer(
    *,
    model: str,
    payload: bytes,
    usage: Usage,
    provider: str,
    called_model: str | None = None,
    owner: str = "",
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
            **({"owner": owner} if owner else {}),
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
    owner: str = "",
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
            **({"owner": owner} if owner else {}),
            "payload_hash": payload_hash,
            "finished_at": _moment(finished_at),
            "expires_at": _moment(expires_at),
            **where,
        },
        option=orjson.OPT_UTC_Z,
    )


def encode_encrypted(owner: str, encrypted_by: str, data: bytes) -> bytes:
    """The value of an `EncryptedEntry`; `data` is base64."""
    return orjson.dumps({"kind": "encrypted", "owner": owner, "encrypted_by": encrypted_by, "data": data.decode()})


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
        return EntryAnswer(payload, usage, provider, called_model, owner_of_head(head))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no cache entry: {error!r}") from error


def owner_of_head(head: dict[str, Any]) -> str:
    """Whose an entry is, of what stands before its payload; "" where it does not say."""
    owner = head.get("owner")
    return owner if isinstance(owner, str) and len(owner) == _OWNER_CHARS else ""


def owner_of(value: bytes) -> tuple[str, str | None]:
    """Whose an entry is, and the hexadecimal key of the entry that holds its answer, if another one does. Raises ValueError."""
    at = value.find(_PAYLOAD)
    closing = 2 if value.startswith(b'{"kind":"finished"') else 1
    head = orjson.loads(value if at < 0 else value[:at] + b"}" * closing)
    if not isinstance(head, dict):
        raise ValueError("no cache entry: no object")
    answer_key = head.get("answer_key")
    return owner_of_head(head), answer_key if isinstance(answer_key, str) else None


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
