"""What every message model shares: frozen, strict types, unknown top-level fields ignored; and a value read without one."""

from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from schemas import limits
from schemas.json_nodes import too_many_nodes

_WANTED: Final = "must be an RFC 3339 time with a zone, such as 2026-01-01T00:00:00Z"
_RFC3339: Final = r"^[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"


class Message(BaseModel):
    """A message of the contract. Its type in CloudEvents terms is `headrace.<name>.v1`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    def to_json(self) -> bytes:
        """The value as UTF-8 JSON. Fields that are None are left out."""
        return self.model_dump_json(exclude_none=True).encode()


def _rfc3339(value: object) -> object:
    """Let only times and their RFC 3339 text through: pydantic alone would take 1767225600, quoted or not."""
    if isinstance(value, str):
        if "-" not in value[1:]:
            raise PydanticCustomError("rfc3339", _WANTED)
    elif not isinstance(value, datetime):
        raise PydanticCustomError("rfc3339", _WANTED)
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=limits.ID_CHARS)]
"""An id given by people or programs: 1 to 256 characters."""

Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc3339)]
"""A moment as RFC 3339 with a zone."""

InstantText = Annotated[str, Field(pattern=_RFC3339)]
"""The same, kept as text: for moments that are only passed on, where parsing (1 µs) would be spent for nothing."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, or a number that rises; exact as a float, so that no reader of JSON bends it (RFC 8259, 6)."""
NonNegative = Annotated[float, Field(ge=0, le=1e18)]
"""A measured number. Whatever a stranger writes, sums of it stay numbers."""
Figure = Annotated[float, Field(ge=0, le=1e15)]
"""A measured number that is added up with others; the bound keeps their sum a number."""
Tally = Annotated[int, Field(ge=0, le=2**53)]
"""A count that is added up with others, and still exact as a float."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A part of a whole, 0 to 1."""


def object_in(value: bytes | None) -> dict[str, Any]:
    """The JSON object that a stranger's value is; an empty one where it is none, or more than it may cost to read it."""
    return {} if value is None or too_many_nodes(value) else answer_in(value)


def answer_in(value: bytes | None) -> dict[str, Any]:
    """The same of an answer, which a worker wrote: its bytes are its bound. Log probabilities alone may be 100,000 objects."""
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
