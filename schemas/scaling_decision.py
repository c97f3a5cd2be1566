"""A scaling decision: how many workers there should be, and why. Made by a pure function of windows and state."""

from typing import Literal

from pydantic import Field

from schemas.message import Count, Identifier, Instant, Message, NonNegative

ScalingAction = Literal["scale_out", "scale_in", "hold"]
"""What a decision asks for."""


class ScalingDecision(Message):
    """One decision. The record's key is `workers`."""

    epoch: Count = Field(description="Rises with each decision; an older one is never carried out after a newer.")
    at: Instant
    action: ScalingAction
    workers_now: Count
    workers_wanted: Count
    reasons: tuple[str, ...] = Field(description="What triggered it, or what held it back, from a fixed set.")
    observed: dict[str, NonNegative] = Field(default_factory=dict, description="The figures it was made from.")
    decider_id: Identifier
