"""A decision as a record of `scaling.decisions`, with all that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.scaling_decision import ScalingDecision, ScalingState, Signals
from streams.scaling.decide import Decision
from streams.scaling.policy import Policy

MOST_WINDOWS = 240
"""Windows in a record. The longest duration has 10 by default; who makes windows of a second for a duration of ten minutes gets
the newest of them, so that a record stays below 64 KB."""
_FIGURES = ("cpu", "memory", "queued", "wait_s", "expired", "throughput_per_s")


def record_of(
    made: Decision,
    before: ScalingState,
    windows: Sequence[Signals],
    policy: Policy,
    now: float,
    epoch: int,
    decider_id: str,
) -> ScalingDecision:
    """The record of `made`, which `decide(windows, before, policy, now)` gave."""
    newest = windows[-1] if windows else None
    figures = {name: getattr(newest, name) for name in _FIGURES} if newest is not None else {}
    return ScalingDecision(
        epoch=epoch,
        at=datetime.fromtimestamp(now, UTC),
        action=made.direction,
        workers_now=newest.workers if newest is not None else 0,
        workers_wanted=made.desired,
        reasons=made.reasons,
        blocked_by=made.blocked_by,
        observed={name: figure for name, figure in figures.items() if figure is not None},
        windows=tuple(windows[-MOST_WINDOWS:]),
        state=before,
        next_state=made.state,
        policy=policy.as_numbers(),
        decider_id=decider_id,
    )
