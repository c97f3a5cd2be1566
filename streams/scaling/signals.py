"""What a decision looks at: a fleet window of `metrics.windows`, reduced to a few figures."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.metric_window import MetricWindow
from schemas.scaling_decision import Signals

FLEET = "fleet"
"""Scope of the windows of the whole fleet."""


def signals_of(window: MetricWindow) -> Signals:
    """The figures of a fleet window. What was not measured is None: it fires nothing, and the fleet does not shrink on it."""
    system, application = window.system, window.application
    answers = sum(application.answered.values())
    waiting = [application.queue_length, *(application.lag.values() if application.lag is not None else (None,))]
    expired = application.answered.get("expired", 0) / answers if answers else 0.0
    throughput_per_s = application.throughput_per_s
    known = [count for count in waiting if count is not None]
    return Signals(
        start_s=window.start.timestamp(),
        end_s=window.end.timestamp(),
        workers=window.workers,
        complete=0 < window.samples_expected <= window.samples and None not in waiting,
        cpu=system.cpu_usage,
        memory=system.memory_share,
        queued=sum(known) if known else None,
        wait_s=application.oldest_wait_s,
        answers=answers,
        expired=expired,
        throughput_per_s=None if throughput_per_s is None else throughput_per_s * (1 - expired),
        provider_limited=window.provider_limited,
    )


def in_order(windows: Iterable[Signals]) -> list[Signals]:
    """The windows by time, each once; of two of one time the later in the iteration counts."""
    return [window for _, window in sorted({window.end_s: window for window in windows}.items())]
