"""A request: what an agent wants of a model. The one message that strangers write.

Decoding is on the hot path. `Request.model_validate_json` of a 460-byte value costs 5.5 µs, of which pydantic alone is
4 (2 cores, CPython 3.11; `timeit` over such a value with a model of the same fields and no validator of its own).

What is accepted can be encoded again without loss. JSON allows more than its parsers agree on, so values outside the
common ground are refused with a clear message: integers beyond 64 bits, NaN and infinities (`1e999` too), lone
surrogates, a byte order mark, more than 200 levels of nesting. Of duplicate keys the last one counts.
"""

from math import isfinite
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from schemas import limits
from schemas.message import Identifier, Instant, InstantText, Message

CacheMode = Literal["read_write", "read_only", "write_only", "off"]
"""What the cache may do for a request."""

Operation = Literal["chat.completions", "embeddings"]
"""Which of the provider's operations the payload is for."""


class CacheControl(Message):
    """How the cache is used for one request."""

    mode: CacheMode = "read_write"
    ttl_s: Annotated[float, Field(gt=0, le=limits.CACHE_TTL_S, allow_inf_nan=False)] | None = None


_DEFAULT_CACHE: Final = CacheControl()

_MODEL: Final[JsonDict] = {"type": "string", "minLength": 1, "maxLength": limits.MODEL_CHARS}
_PAYLOAD_RULES: Final[JsonDict] = {
    "if": {"properties": {"operation": {"const": "embeddings"}}, "required": ["operation"]},
    "then": {
        "properties": {
            "payload": {
                "required": ["model", "input"],
                "properties": {
                    "model": _MODEL,
                    "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
                },
            }
        }
    },
    "else": {
        "properties": {
            "payload": {
                "required": ["model", "messages"],
                "properties": {"model": _MODEL, "messages": {"type": "array", "minItems": 1}},
            }
        }
    },
}


class Request(Message):
    """One request. Only `payload` is required in the value; `agent_id` may come from the record's key instead."""

    model_config = ConfigDict(json_schema_extra=_PAYLOAD_RULES)

    request_id: Identifier | None = Field(None, description="Left out: topic:partition:offset of the record.")
    agent_id: Identifier | None = Field(None, description="Left out: the record's key. Given: wins over the key.")
    conversation_id: Identifier | None = None
    operation: Operation = "chat.completions"
    payload: dict[str, Any] = Field(description="The provider's request body; unknown fields pass through.")
    cache: CacheControl = _DEFAULT_CACHE
    timeout_s: Annotated[float, Field(gt=0, le=limits.TIMEOUT_S, allow_inf_nan=False)] | None = Field(
        None, description="Total time from the record's timestamp, in seconds."
    )
    deadline: Instant | None = Field(None, description="The latest moment for an answer; timeout_s wins over it.")
    created_at: InstantText | None = Field(None, description="When the request was made. Informative.")

    @model_validator(mode="after")
    def _payload_is_usable(self) -> Self:
        payload = self.payload
        model = payload.get("model")
        if type(model) is not str or not 0 < len(model) <= limits.MODEL_CHARS:
            raise PydanticCustomError("payload_model", "payload.model must be a string of 1 to 256 characters")
        if self.operation == "chat.completions":
            messages = payload.get("messages")
            if type(messages) is not list or not messages:
                raise PydanticCustomError("payload_messages", "payload.messages must be a non-empty array")
        else:
            text = payload.get("input")
            if type(text) not in (str, list) or not text:
                raise PydanticCustomError("payload_input", "payload.input must be a non-empty string or array")
        _check_encodable(payload)
        return self


def _check_encodable(payload: dict[str, Any]) -> None:
    """Refuse what cannot be written again as it was read (0.4 µs for a small payload).

    orjson refuses wide integers, lone surrogates and deep nesting by itself, but writes NaN and infinities as null:
    only where a null was written is there a reason to look for one.
    """
    try:
        encoded = orjson.dumps(payload)
    except orjson.JSONEncodeError as error:
        raise PydanticCustomError(
            "payload_json", "payload cannot be passed on as JSON: {reason}", {"reason": str(error)}
        ) from None
    if b"null" in encoded and not _all_finite(payload):
        raise PydanticCustomError("payload_number", "payload holds a number that is not finite")


def _all_finite(value: object) -> bool:
    rest = [value]
    while rest:
        node = rest.pop()
        if type(node) is float:
            if not isfinite(node):
                return False
        elif type(node) is dict:
            rest.extend(node.values())
        elif type(node) is list:
            rest.extend(node)
    return True
