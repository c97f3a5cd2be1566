"""A claim on an `Idempotency-Key`: which request is the one of this key. The record's key is a hash of the caller and its key.

The order of the log decides: a claim counts where no other one holds at its moment, or where it names the one that
holds as `after`.
"""

from typing import Annotated

from pydantic import Field

from schemas.message import Identifier, Message


class Claim(Message):
    """One claim."""

    request_id: Identifier
    body: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="SHA-256 of what was asked.")
    after: Identifier | None = Field(
        default=None, description="The request that this one is asked instead of: it failed, and may be tried again."
    )
