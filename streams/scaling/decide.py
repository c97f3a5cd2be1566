"""The decision: how many workers there should be, from windows, state, policy and the time. Pure.

What fires asks for a step out; a while of calm, with nothing missing, asks for a step in. A step is held back by the limits,
by the rest after the last change, by a provider's limit (more workers would wait for it as well), by a last step that is not
carried out yet, and by a last step that brought nothing. `blocked_by` names all that holds, not only the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from schemas.scaling_decision import ScalingAction, ScalingState, Signals
from streams.scaling import triggers
from streams.scaling.policy import Policy
from streams.scaling.triggers import Reason

Block = Literal["at_max", "at_min", "cooldown", "provider_limited", "pending", "ineffective", "missing_data"]
"""What held a step back."""

REASONS: Final[tuple[Reason, ...]] = (
    "cpu", "memory", "queue_length", "wait", "expired", "calm", "below_min", "above_max",
)  # fmt: skip
BLOCKS: Final[tuple[Block, ...]] = (
    "at_max", "at_min", "cooldown", "provider_limited", "pending", "ineffective", "missing_data",
)  # fmt: skip


_EPISODE_WINDOWS: Final = 3
"""Triggers that fire again within this many windows belong to the same episode."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`desired` workers from now on. `direction` says whether that is a change; `reasons` asked, `blocked_by` held back."""

    desired: int
    direction: ScalingAction
    reasons: tuple[Reason, ...]
    blocked_by: tuple[Block, ...]
    state: ScalingState
    """For the next decision."""


def decide(windows: Sequence[Signals], state: ScalingState, policy: Policy, now: float) -> Decision:
    """What should be.

    Args:
        windows: of the fleet, ascending by time, each once; `policy.reach_s` back from the newest is enough.
        state: of the last decision; its `target` is how many there should be up to now.
        policy: thresholds and limits.
        now: Unix seconds.
    """
    smallest, largest = min(policy.smallest, policy.largest), policy.largest
    if not smallest <= state.target <= largest:
        reason: Reason = "below_min" if state.target < smallest else "above_max"
        return _step(min(max(state.target, smallest), largest), state, (reason,), state, now)
    if not windows or now - windows[-1].end_s > policy.stale_after_s:
        return Decision(state.target, "hold", (), ("missing_data",), state)
    state = _learn(windows, state, policy, now)
    if reasons := triggers.firing(windows, policy):
        fired = replace(state, fired_at_s=now)
        blocks = _against_out(windows, state, policy, now)
        if blocks:
            return Decision(state.target, "hold", reasons, blocks, fired)
        target = min(state.target + policy.out_step, largest)
        return _step(target, fired, reasons, _to_beat(windows, fired, target, policy), now)
    state = _forget(state, policy, now)
    target = max(state.target - policy.in_step, smallest)
    if not triggers.calm(windows, target, state.saturated_per_s, policy):
        return Decision(state.target, "hold", (), (), state)
    if blocks := _against_in(windows, state, policy, now):
        return Decision(state.target, "hold", ("calm",), blocks, state)
    return _step(target, state, ("calm",), replace(state, to_beat_per_s=None), now)


def _step(target: int, before: ScalingState, reasons: tuple[Reason, ...], after: ScalingState, now: float) -> Decision:
    direction: ScalingAction = "scale_out" if target > before.target else "scale_in"
    return Decision(target, direction, reasons, (), replace(after, target=target, changed_at_s=now))


def _against_out(windows: Sequence[Signals], state: ScalingState, policy: Policy, now: float) -> tuple[Block, ...]:
    # A worker too busy to report in the newest window may have done so before.
    reported = max(window.workers for window in windows[-1 - policy.missing_windows :])
    holds: tuple[tuple[Block, bool], ...] = (
        ("at_max", state.target >= policy.largest),
        ("cooldown", _rests(state, policy.out_cooldown_s, now)),
        ("provider_limited", triggers.provider_limited(windows)),
        ("pending", reported < state.target),
        ("ineffective", _ineffective(windows, state, policy, now)),
    )
    return tuple(block for block, is_so in holds if is_so)


def _against_in(windows: Sequence[Signals], state: ScalingState, policy: Policy, now: float) -> tuple[Block, ...]:
    holds: tuple[tuple[Block, bool], ...] = (
        ("at_min", state.target <= policy.smallest),
        ("cooldown", _rests(state, policy.in_cooldown_s, now)),
        ("pending", windows[-1].workers > state.target),
        ("missing_data", windows[-1].workers < state.target or triggers.missing_for_calm(windows, policy)),
    )
    return tuple(block for block, is_so in holds if is_so)


def _apart(now: float, at: float) -> float:
    """Seconds between the two. A moment that lies ahead is of a clock that was set since: no rest may last until it comes."""
    return abs(now - at)


def _rests(state: ScalingState, cooldown_s: float, now: float) -> bool:
    return state.changed_at_s is not None and _apart(now, state.changed_at_s) < cooldown_s


def _ineffective(windows: Sequence[Signals], state: ScalingState, policy: Policy, now: float) -> bool:
    """Whether the last step out has not brought the throughput that it should; undecided counts as so."""
    if state.to_beat_per_s is None or state.changed_at_s is None or _apart(now, state.changed_at_s) >= policy.retry_s:
        return False
    since = triggers.throughput(windows, state.changed_at_s)
    return since is None or since < state.to_beat_per_s


def _to_beat(windows: Sequence[Signals], state: ScalingState, target: int, policy: Policy) -> ScalingState:
    """What the step must bring: the gain that the policy asks, or half of what the workers add, if that is less."""
    before = triggers.throughput(windows)
    gain = min(policy.effect, (target - state.target) / state.target / 2)
    return replace(state, to_beat_per_s=before * (1 + gain) if before is not None else None)


def _learn(windows: Sequence[Signals], state: ScalingState, policy: Policy, now: float) -> ScalingState:
    """Note the most that a worker was seen to do since more waited than the fleet could take.

    The first window of such an episode may still be half idle, so that it says too little; a worker can always do what it
    was seen to do, so that later windows raise it. Nothing is learnt where a provider's limit held the fleet back.
    """
    newest = windows[-1]
    seen = triggers.done_by_one(newest)
    if seen is None or newest.provider_limited:
        return state
    if not triggers.backlogged(newest, policy):
        known = state.saturated_per_s
        return state if known is None or seen <= known else replace(state, saturated_per_s=seen)
    goes_on = state.fired_at_s is not None and _apart(now, state.fired_at_s) <= _EPISODE_WINDOWS * policy.window_s
    best = max(seen, state.saturated_per_s or 0.0) if goes_on else seen
    return replace(state, saturated_per_s=best, saturated_at_s=now)


def _forget(state: ScalingState, policy: Policy, now: float) -> ScalingState:
    """Once nothing has fired for a cooldown, the last step is not judged any more; and a worker's best has its time."""
    if state.fired_at_s is not None and _apart(now, state.fired_at_s) >= policy.out_cooldown_s:
        state = replace(state, to_beat_per_s=None)
    if state.saturated_at_s is not None and _apart(now, state.saturated_at_s) >= policy.remember_s:
        state = replace(state, saturated_per_s=None, saturated_at_s=None)
    return state
