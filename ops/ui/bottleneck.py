"""What limits the fleet now, in one sentence. Pure: the figures are those of the present window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision

_BUSY: Final = 0.85
_ERRORS: Final = 0.05

Level = Literal["calm", "watch", "act"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence, how much it asks for, and the page that says more."""

    level: Level
    sentence: str
    page: str


def what_limits(
    window: MetricWindow | None,
    decision: ScalingDecision | None,
    sick_endpoints: Sequence[str],
    index_problem: str | None,
) -> Verdict:
    """The first of what may be wrong, the most urgent first."""
    if index_problem is not None:
        return Verdict("act", f"The broker cannot be read: {index_problem}", "/settings")
    if window is None or not window.workers:
        return Verdict("act", "No worker reports: nothing is answered until one does.", "/providers")
    application = window.application
    waiting = (application.queue_length or 0) + sum((application.lag or {}).values())
    if sick_endpoints:
        more = f" and {len(sick_endpoints) - 1} more" if len(sick_endpoints) > 1 else ""
        return Verdict("act", f"Endpoint {sick_endpoints[0]}{more} gets no calls.", "/providers")
    if (application.error_rate or 0) > _ERRORS:
        return Verdict(
            "act",
            f"{application.error_rate:.1%} of the answers fail.",
            "/requests?status=error&status=expired&since=15m",
        )
    if window.provider_limited:
        return Verdict(
            "watch", "A provider's limit: calls wait for it, and more workers would wait for it too.", "/limits"
        )
    if waiting and decision is not None and "at_max" in decision.blocked_by:
        return Verdict(
            "watch",
            f"The fleet is as large as it may be ({window.workers} workers), and {waiting:,.0f} requests wait.",
            "/scaling",
        )
    cpu = window.system.cpu_usage
    if cpu is not None and cpu > _BUSY:
        return Verdict("watch", f"Workers' CPU: {cpu:.0%} of what they can use.", "/scaling")
    memory = window.system.memory_share
    if memory is not None and memory > _BUSY:
        return Verdict("watch", f"Workers' memory: {memory:.0%} of what they may use.", "/providers")
    if waiting > max(1.0, application.throughput_per_s or 0.0):  # less is what was read a moment ago
        return Verdict("watch", f"{waiting:,.0f} requests wait for room at their providers.", "/queues")
    return Verdict("calm", "Nothing: every request is taken as it comes.", "/queues")
