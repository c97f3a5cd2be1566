"""A dead letter: the original key, value and headers, untouched, plus headers that say why it ended there."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field

from schemas.errors import clip
from schemas.limits import ERROR_MESSAGE_BYTES, MODEL_CHARS
from schemas.message import Count, Message

DeadLetterReason = Literal["poison", "exhausted", "too_large", "undeliverable"]
"""Why a record was given up."""


def _clip(value: object) -> object:
    return clip(value) if isinstance(value, str) else value


class DeadLetter(Message):
    """The headers a dead letter adds. On the wire each is UTF-8 text, numbers in decimal."""

    dlq_reason: DeadLetterReason
    dlq_stage: str = Field(description="The stage of the pipeline that gave up: intake, providers, delivery.")
    dlq_error_type: str
    dlq_error_message: Annotated[str, BeforeValidator(_clip), Field(max_length=ERROR_MESSAGE_BYTES)] = Field(
        description="At most 1 KB, secrets scrubbed; longer text is cut."
    )
    dlq_topic: str
    dlq_partition: Count
    dlq_offset: Count
    dlq_last_offset: Count | None = Field(
        None,
        description="The last offset of a batch of more than 1,000 records that was set aside unread: one letter for all.",
    )
    dlq_timestamp: int = Field(description="The original record's timestamp, milliseconds since 1970.")
    dlq_attempts: Count
    dlq_provider: Annotated[str, Field(max_length=MODEL_CHARS)] | None = Field(
        None, description="The provider that was called last, where one was called."
    )

    def to_headers(
        self, original: Iterable[tuple[str, bytes | None]] = (), trace: bytes | None = None
    ) -> list[tuple[str, bytes | None]]:
        """The dead letter's headers: the original's, in their order, then these.

        Headers of an earlier dead letter (a replayed one that failed again) are replaced, so that each name says one
        thing.
        """
        headers = [(name, value) for name, value in original if name not in ADDED]
        headers.extend((name, str(value).encode()) for name in _ORDER if (value := getattr(self, name)) is not None)
        if trace is not None:
            headers.append((TRACE, trace))
        return headers

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes | None]]) -> Self:
        """Read them back. Of a repeated header the last one counts.

        Raises pydantic.ValidationError (a ValueError) where one is missing or is not what it should be.
        """
        found = {
            name: bytes(value).decode("utf-8", "replace")
            for name, value in headers
            if name in _NAMES and value is not None
        }
        return cls.model_validate_strings(found)


_ORDER = tuple(DeadLetter.model_fields)
_NAMES = frozenset(_ORDER)

TRACE: Final = "dlq_trace"
"""What became of the request, in the bytes of streams/trace/header.py."""

ADDED: Final = _NAMES | {TRACE}
"""Headers that a dead letter has and its original had not."""
