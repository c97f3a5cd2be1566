"""A scaling event: what came of a decision."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.limits import ERROR_MESSAGE_BYTES
from schemas.message import Count, Instant, Message, NonNegative

ScalingOutcome = Literal["applied", "failed", "superseded"]
"""How a decision ended: carried out; not carried out, and why; or overtaken by a newer one before it was."""


class ScalingEvent(Message):
    """One outcome. The record's key is `workers`."""

    epoch: Count = Field(description="The decision's epoch.")
    at: Instant
    outcome: ScalingOutcome
    workers_before: Count
    workers_after: Count
    realizer: str = Field(description="What carried it out: process, kubernetes.")
    took_s: NonNegative
    message: Annotated[str, Field(max_length=ERROR_MESSAGE_BYTES)] = ""
