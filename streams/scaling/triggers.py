"""Questions about the last windows: what fires, whether all is calm, and what a worker can do at most. Pure.

Windows are ascending by time, each once. Those of a duration are the ones that end in it, counted back from the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Final, Literal

from schemas.scaling_decision import Signals
from streams.scaling.policy import Policy

Reason = Literal["cpu", "memory", "queue_length", "wait", "expired", "calm", "below_min", "above_max"]
"""What asked for a step."""

_NEWEST: Final = 3
_ROUNDING_S: Final = 1e-3


def firing(windows: Sequence[Signals], policy: Policy) -> tuple[Reason, ...]:
    """The triggers for growth that fire: CPU and memory over their duration, waiting in the newest window."""
    if not windows:
        return ()
    newest = windows[-1]
    fires: dict[Reason, bool] = {
        "cpu": _above(windows, policy.cpu_for_s, policy, lambda each: each.cpu, policy.cpu),
        "memory": _above(windows, policy.memory_for_s, policy, lambda each: each.memory, policy.memory),
        "queue_length": _over(newest.queued, policy.queue),
        "wait": _over(newest.wait_s, policy.wait_s),
        "expired": _expires(newest, policy),
    }
    return tuple(reason for reason, it_does in fires.items() if it_does)


def backlogged(window: Signals, policy: Policy) -> bool:
    """Whether more waits at the end of the window than the fleet could take."""
    return _over(window.queued, policy.queue) or _over(window.wait_s, policy.wait_s) or _expires(window, policy)


def missing_for_calm(windows: Sequence[Signals], policy: Policy) -> bool:
    """Whether a window of the duration in which all must be low is missing, or lacks something."""
    recent = list(_of(windows, policy.low_for_s))
    wanted = _count(policy.low_for_s, policy)
    return len(recent) < wanted or any(
        not window.complete or None in (window.cpu, window.memory, window.queued, window.wait_s) for window in recent
    )


def calm(windows: Sequence[Signals], left: int, saturated_per_s: float | None, policy: Policy) -> bool:
    """Whether every signal is low in every window of the duration, also if only `left` workers are left.

    What was not measured counts as low here, see `missing_for_calm`. CPU is carried over to the smaller fleet, and so is the
    throughput, which must stay below what a worker was seen to do when more waited than it could take (`saturated_per_s`,
    None: never seen).
    """
    recent = list(_of(windows, policy.low_for_s))
    return bool(recent) and all(
        _low(window.cpu, policy.low_cpu * left / max(window.workers, left))
        and _low(window.memory, policy.low_memory)
        and _low(window.queued, policy.low_queue)
        and _low(window.wait_s, policy.low_wait_s)
        and _low(window.expired, policy.low_expired)
        and (saturated_per_s is None or _low(window.throughput_per_s, policy.calm * saturated_per_s * left))
        for window in recent
    )


def provider_limited(windows: Sequence[Signals]) -> bool:
    """Whether a provider's limit held calls up in one of the newest windows."""
    return any(window.provider_limited for window in windows[-_NEWEST:])


def throughput(windows: Sequence[Signals], after_s: float | None = None) -> float | None:
    """Answers a second, mean of the newest windows; only of those that began at `after_s` or later. None without any."""
    values = [
        window.throughput_per_s
        for window in windows[-_NEWEST:]
        if window.throughput_per_s is not None and (after_s is None or window.start_s >= after_s - _ROUNDING_S)
    ]
    return sum(values) / len(values) if values else None


def done_by_one(window: Signals) -> float | None:
    """Answers a second of one worker, mean of the fleet; None where nothing was measured."""
    return window.throughput_per_s / window.workers if window.throughput_per_s and window.workers else None


def _above(
    windows: Sequence[Signals], for_s: float, policy: Policy, figure: Callable[[Signals], float | None], bound: float
) -> bool:
    """Above the bound in every window of the duration; some may be missing, the newest may not."""
    values = [value for window in _of(windows, for_s) if (value := figure(window)) is not None]
    wanted = _count(for_s, policy)
    return (
        figure(windows[-1]) is not None
        and len(values) >= max(1, wanted - policy.missing_windows)
        and all(value > bound for value in values)
    )


def _of(windows: Sequence[Signals], for_s: float) -> Iterator[Signals]:
    """The windows of the duration that ends with the newest."""
    begin_s = windows[-1].end_s - for_s if windows else 0.0
    return (window for window in windows if window.end_s > begin_s + _ROUNDING_S)


def _count(for_s: float, policy: Policy) -> int:
    """How many windows a duration has; at least one."""
    return max(1, ceil(for_s / policy.window_s - _ROUNDING_S))


def _over(figure: float | None, bound: float) -> bool:
    return figure is not None and figure > bound


def _expires(window: Signals, policy: Policy) -> bool:
    return _over(window.expired, policy.expired) and (window.expired or 0.0) * window.answers >= policy.expired_least


def _low(figure: float | None, bound: float) -> bool:
    return figure is None or figure <= bound
