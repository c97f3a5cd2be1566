"""What a provider allows the whole fleet, handed out in parts: workers say what they need, one grantor grants it.

The order of the log decides: everybody reads the same records in the same order, and times are the broker's
(LogAppendTime). The sum of the grants in force and of what was used in the window never exceeds the provider's limit.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Count, Identifier, Instant, Message, NonNegative

MOST_WORKERS: Final = 10_000
"""That one grant names, and slots that one demand tells: more than the largest fleet has, and than two windows have."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Calls and their tokens; `input` and `output` where the provider has limits of them."""

    requests: Count
    tokens: Count
    input: Count = 0
    output: Count = 0


NOTHING = Grant(0, 0)


class Slot(Message):
    """What one worker used between two of its demands."""

    number: Count = Field(description="Rises from slot to slot of a worker.")
    requests: Count
    tokens: Count
    input: Count = 0
    output: Count = 0


class ProviderView(Message):
    """What the provider's own answers said last; it corrects the fleet's view downward only."""

    limit_requests: Count | None = None
    limit_tokens: Count | None = None
    limit_input: Count | None = None
    limit_output: Count | None = None
    remaining_requests: Count | None = None
    remaining_tokens: Count | None = None
    remaining_input: Count | None = None
    remaining_output: Count | None = None
    reset_s: NonNegative = Field(60.0, description="After so long it says nothing any more.")
    pause_s: NonNegative = Field(0.0, description="The provider asked for no calls for so long.")


class LeaseDemand(Message):
    """One worker's need and what it used. The record's key is the provider."""

    kind: Literal["demand"] = "demand"
    provider: str = Field(min_length=1)
    model: str = Field("*", min_length=1, description="The provider's group of models that has limits of its own.")
    worker_id: Identifier
    at: Instant
    requests: Count = Field(description="Calls it wants to make.")
    tokens: Count = Field(description="Tokens it expects them to take.")
    weight: NonNegative = Field(0.0, description="Those tokens, urgent classes counted more; 0: as the tokens.")
    input: Count = Field(0, description="Of these tokens, input.")
    output: Count = Field(0, description="Of these tokens, output.")
    head_tokens: Count = Field(0, description="Tokens that its next call needs at once.")
    head_input: Count = Field(0, description="Of these tokens, input.")
    head_output: Count = Field(0, description="Of these tokens, output.")
    requests_used: Count = Field(0, description="Calls made since its last demand.")
    tokens_used: Count = Field(0, description="Tokens they took, as the provider counted them.")
    input_used: Count = Field(0, description="Of these tokens, input.")
    output_used: Count = Field(0, description="Of these tokens, output.")
    seq: Count = Field(0, description="Rises with each demand of a worker for a provider and model.")
    seen: int = Field(-1, ge=-1, description="Offset of the last grant that it had read.")
    left: Grant = Field(NOTHING, description="Granted, in force and not used.")
    open: Grant = Field(NOTHING, description="Taken for calls that do not count as used yet.")
    slots: list[Slot] = Field(
        [],
        max_length=MOST_WORKERS,
        description="Slots that changed, each with its present total.",
    )
    provider_view: ProviderView | None = None


class LeaseGrant(Message):
    """The grantor's answer for the whole fleet. The record's key is the provider."""

    kind: Literal["grant"] = "grant"
    provider: str = Field(min_length=1)
    model: str = Field("*", min_length=1)
    grantor_id: Identifier
    epoch: Count = Field(description="Rises with each new grantor; grants of a lower epoch are void.")
    seq: Count = Field(0, description="Rises with each grant of an epoch; one that was seen already is void.")
    valid_from: Instant
    valid_until: Instant
    grants: dict[Identifier, Grant] = Field(
        max_length=MOST_WORKERS, description="By worker id. A worker that is not named gets nothing new."
    )
    recalled: list[Identifier] = Field(
        [],
        max_length=MOST_WORKERS,
        description="Workers that give up what they have left, for a call that needs it; they say so at once.",
    )
    limit_tokens: Count | None = Field(None, description="More than the provider's limit gives at once is refused.")
    limit_input: Count | None = None
    limit_output: Count | None = None


class LeaseClaim(Message):
    """A worker takes over as the grantor, or says that it still is. The record's key is `*`."""

    kind: Literal["claim"] = "claim"
    grantor_id: Identifier
    epoch: Count = Field(description="One more than the last; the first claim of an epoch is the one that counts.")
    at: Instant


LeaseMessage = LeaseDemand | LeaseGrant | LeaseClaim
Lease = Annotated[LeaseMessage, Field(discriminator="kind")]

LEASE: TypeAdapter[LeaseMessage] = TypeAdapter(Lease)


def parse_lease(value: bytes) -> LeaseMessage:
    """Read any kind. Raises pydantic.ValidationError (a ValueError)."""
    return LEASE.validate_json(value)
