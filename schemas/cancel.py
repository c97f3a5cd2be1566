"""A cancel: somebody who asked for a request does not want its answer any more."""

from typing import Annotated, Final

from pydantic import Field, TypeAdapter

from schemas.limits import ERROR_MESSAGE_BYTES, TOPIC_NAME_CHARS
from schemas.message import Identifier, Instant, Message

_RECORD: Final = rf"^[a-zA-Z0-9._-]{{1,{TOPIC_NAME_CHARS}}}:[0-9]{{1,7}}:[0-9]{{1,19}}$"


RecordPlace = Annotated[str, Field(pattern=_RECORD)]
"""topic:partition:offset"""


class Cancel(Message):
    """One request that is to end. Everything that is named has to be the request's own, else nothing happens.

    An id is unique to its agent only, and places on a topic can be counted through: so a request is named by its id *and* by its
    agent or its record. The id alone names a request that a front has published, whose ids cannot be guessed.
    """

    request_id: Identifier
    agent_id: Identifier | None = Field(None, description="The request's agent.")
    record: RecordPlace | None = Field(
        None, description="The request's record, topic:partition:offset, as the broker's ack named it to its producer."
    )
    requested_by: Identifier | None = Field(None, description="Who asks. Informative: nobody checks it.")
    requested_at: Instant | None = Field(None, description="When it was asked. Informative: the record's time counts.")
    reason: Annotated[str, Field(max_length=ERROR_MESSAGE_BYTES)] | None = Field(None, description="Why, in words.")


_CANCEL: Final[TypeAdapter[Cancel]] = TypeAdapter(Cancel)


def parse_cancel(value: bytes) -> Cancel:
    """Read one. Raises pydantic.ValidationError (a ValueError)."""
    return _CANCEL.validate_json(value)
