"""A scaling decision: how many workers there should be, and why. Made by a pure function of windows, state and policy.

The record holds everything that the function was given, so that anybody can make the decision again and see whether it
comes out the same. Times inside are Unix seconds.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from schemas.message import Count, Identifier, Instant, Message, NonNegative

_MOST_WORDS: Final = 100
_MOST_WINDOWS: Final = 1_000
"""More than any version of the fleet writes."""

ScalingAction = Literal["scale_out", "scale_in", "hold"]
"""What a decision asks for."""


@dataclass(frozen=True, slots=True)
class Signals:
    """One fleet window, as far as a decision looks at it. A figure that was not measured is not there."""

    start_s: NonNegative
    end_s: NonNegative
    workers: Count
    """Workers that reported in the window."""
    complete: bool
    """Whether nothing is missing of it."""
    cpu: NonNegative | None = None
    """Share of the cores that the workers can use."""
    memory: NonNegative | None = None
    """Share of the memory that the workers may use."""
    queued: NonNegative | None = None
    """Requests waiting in workers, and records waiting in Kafka."""
    wait_s: NonNegative | None = None
    """The longest that a request had waited for dispatch."""
    expired: NonNegative | None = None
    """Share of the answers that said `expired`."""
    answers: Count = 0
    throughput_per_s: NonNegative | None = None
    """Answers a second, without the expired ones: what expires costs nobody's time."""
    provider_limited: bool = False


@dataclass(frozen=True, slots=True)
class ScalingState:
    """What decisions carry from one to the next."""

    target: Count
    """Workers that there should be."""
    changed_at_s: NonNegative | None = None
    """When the target changed last: cooldowns run from here."""
    to_beat_per_s: NonNegative | None = None
    """Throughput that the fleet must reach before another worker is added: that before the last step out, and a gain."""
    fired_at_s: NonNegative | None = None
    """When a trigger for growth fired last."""
    saturated_per_s: NonNegative | None = None
    """Answers a second of one worker: the most that one was seen to do since more waited than the fleet could take."""
    saturated_at_s: NonNegative | None = None


class ScalingDecision(Message):
    """One decision. The record's key is `workers`.

    A record is in force if no record before it on the topic has the same or a higher epoch.
    """

    epoch: Count = Field(description="Rises with each decision; an older one is never carried out after a newer.")
    at: Instant
    action: ScalingAction
    workers_now: Count
    workers_wanted: Count
    reasons: tuple[str, ...] = Field(max_length=_MOST_WORDS, description="What triggered it, from a fixed set.")
    blocked_by: tuple[str, ...] = Field(
        (), max_length=_MOST_WORDS, description="What held a step back, from a fixed set."
    )
    observed: dict[str, NonNegative] = Field(
        default_factory=dict,
        max_length=_MOST_WORDS,
        description="The newest window's figures, for people; empty without one.",
    )
    windows: tuple[Signals, ...] = Field(
        (), max_length=_MOST_WINDOWS, description="The windows it was made from, oldest first; the newest 240 at most."
    )
    state: ScalingState | None = Field(None, description="What was carried into it.")
    next_state: ScalingState | None = Field(None, description="What it carries on.")
    policy: dict[str, NonNegative] = Field(
        default_factory=dict,
        max_length=_MOST_WORDS,
        description="Thresholds, durations and limits in force; shares 0 to 1, times in seconds.",
    )
    decider_id: Identifier
