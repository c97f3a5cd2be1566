"""What a provider allows the whole fleet, handed out in parts: workers say what they need, one grantor grants it.

The sum of the grants in force never exceeds the provider's limit. A grant holds for its window only.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Count, Identifier, Instant, Message


class LeaseDemand(Message):
    """One worker's need for the next window. The record's key is the provider."""

    kind: Literal["demand"] = "demand"
    provider: str = Field(min_length=1)
    worker_id: Identifier
    at: Instant
    requests: Count = Field(description="Calls it wants to make in the next window.")
    tokens: Count = Field(description="Tokens it expects them to take.")
    requests_used: Count = Field(0, description="Calls made since its last demand.")
    tokens_used: Count = Field(0, description="Tokens they took, as the provider counted them.")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one worker may use in the window."""

    requests: Count
    tokens: Count


class LeaseGrant(Message):
    """The grantor's answer for the whole fleet. The record's key is the provider."""

    kind: Literal["grant"] = "grant"
    provider: str = Field(min_length=1)
    grantor_id: Identifier
    epoch: Count = Field(description="Rises with each new grantor; grants of a lower epoch are void.")
    valid_from: Instant
    valid_until: Instant
    grants: dict[str, Grant] = Field(description="By worker id. A worker that is not named has nothing.")


Lease = Annotated[LeaseDemand | LeaseGrant, Field(discriminator="kind")]

LEASE: TypeAdapter[LeaseDemand | LeaseGrant] = TypeAdapter(Lease)


def parse_lease(value: bytes) -> LeaseDemand | LeaseGrant:
    """Read either kind. Raises pydantic.ValidationError (a ValueError)."""
    return LEASE.validate_json(value)
