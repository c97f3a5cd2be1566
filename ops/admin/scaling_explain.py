"""Decisions told in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent

_BLOCKS: Final[Mapping[str, str]] = {
    "at_max": "the fleet is as large as it may be ({largest:.0f})",
    "at_min": "the fleet is as small as it may be ({smallest:.0f})",
    "cooldown": "it rests {rest:.0f} s after a change, and the last one was {since}",
    "provider_limited": "calls wait for a provider's limit, and more workers would wait for it too",
    "pending": "the last change is not carried out yet: {now} of {target} workers report",
    "ineffective": "the last worker that was added did not raise the throughput to {to_beat}",
    "missing_data": "measurements are missing (a fleet shrinks after {low:.0f} min of them without a gap)",
}


def tell(decision: ScalingDecision, events: Sequence[ScalingEvent] = ()) -> str:
    """A decision in one or two sentences, and what came of it.

    >>> from datetime import UTC, datetime
    >>> print(tell(ScalingDecision(epoch=7, at=datetime(2026, 1, 1, 0, 5, tzinfo=UTC), action="scale_out", workers_now=2,
    ...     workers_wanted=3, reasons=("queue_length",), observed={"queued": 1400.0}, policy={"queue": 1000.0}, decider_id="a")))
    2026-01-01T00:05:00Z  From 2 to 3 workers, because 1,400 requests wait (more than 1,000).
    """
    known = _figures(decision)
    because = _list([_reason(reason, decision, known) for reason in decision.reasons])
    before = decision.state.target if decision.state is not None else decision.workers_now
    if decision.action != "hold":
        text = f"From {before} to {_workers(decision.workers_wanted)}, because {because}."
    elif decision.reasons:
        blocks = _list([_BLOCKS.get(block, block).format(**known) for block in decision.blocked_by])
        wish = "fewer" if decision.reasons == ("calm",) else "more"
        text = f"Still {_workers(decision.workers_wanted)}: {because}, which asks for {wish}, but {blocks}."
    elif decision.blocked_by:
        blocks = _list([_BLOCKS.get(block, block).format(**known) for block in decision.blocked_by])
        text = f"Still {_workers(decision.workers_wanted)}: {blocks}."
    else:
        text = f"Still {_workers(decision.workers_wanted)}: {_all_well(decision)}{_not_fewer(decision)}."
    for event in events:
        text += f" {_outcome(event)}"
    return f"{_when(decision.at)}  {text}"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _figures(decision: ScalingDecision) -> dict[str, Any]:
    """What the sentences are filled with."""
    state, policy = decision.state, decision.policy
    changed_at_s = state.changed_at_s if state is not None else None
    since = "never" if changed_at_s is None else f"{decision.at.timestamp() - changed_at_s:.0f} s ago"
    to_beat = state.to_beat_per_s if state is not None else None
    resting = "in_cooldown_s" if decision.reasons == ("calm",) else "out_cooldown_s"
    return {
        "largest": policy.get("largest", 0.0),
        "smallest": policy.get("smallest", 0.0),
        "rest": policy.get(resting, 0.0),
        "since": since,
        "low": policy.get("low_for_s", 0.0) / 60,
        "now": decision.workers_now,
        "target": state.target if state is not None else decision.workers_wanted,
        "to_beat": "what was hoped for" if to_beat is None else f"{to_beat:,.3g} answers a second",
    }


def _reason(reason: str, decision: ScalingDecision, known: Mapping[str, Any]) -> str:
    seen, policy = decision.observed, decision.policy

    def minutes(name: str) -> str:
        return f"{policy.get(name, 0.0) / 60:.3g} min"

    match reason:
        case "cpu":
            return f"CPU use is {seen.get('cpu', 0):.0%} and was above {policy.get('cpu', 0):.0%} for {minutes('cpu_for_s')}"
        case "memory":
            return (
                f"memory use is {seen.get('memory', 0):.0%} and was above {policy.get('memory', 0):.0%} for "
                f"{minutes('memory_for_s')}"
            )
        case "queue_length":
            return f"{seen.get('queued', 0):,.0f} requests wait (more than {policy.get('queue', 0):,.0f})"
        case "wait":
            return f"a request has waited for {seen.get('wait_s', 0):.1f} s (more than {policy.get('wait_s', 0):.3g} s)"
        case "expired":
            return (
                f"{seen.get('expired', 0):.1%} of the answers are `expired` (more than {policy.get('expired', 0):.1%})"
            )
        case "calm" if "missing_data" in decision.blocked_by:
            return "everything was low as far as it was measured"
        case "calm":
            return f"everything was low for {minutes('low_for_s')}"
        case "below_min":
            return f"there must be at least {known['smallest']:.0f}"
        case "above_max":
            return f"there may be at most {known['largest']:.0f}"
        case _:
            return reason


def _all_well(decision: ScalingDecision) -> str:
    """What was seen where nothing asks for a change."""
    seen = decision.observed
    parts = [
        text
        for name, text in (
            ("cpu", f"CPU {seen.get('cpu', 0):.0%}"),
            ("memory", f"memory {seen.get('memory', 0):.0%}"),
            ("queued", f"{seen.get('queued', 0):,.0f} waiting"),
            ("throughput_per_s", f"{seen.get('throughput_per_s', 0):,.3g} answers a second"),
        )
        if name in seen
    ]
    return ", ".join(parts) or "nothing asks for a change"


def _not_fewer(decision: ScalingDecision) -> str:
    """Why a fleet that need not grow does not shrink: by what was measured last, or earlier in the time that it looks at."""
    state, seen, policy = decision.state, decision.observed, decision.policy
    fewer = decision.workers_wanted - 1
    if fewer < max(1.0, policy.get("smallest", 0.0)) or "low_for_s" not in policy:
        return ""
    rate = seen.get("throughput_per_s")
    if state is not None and state.saturated_per_s is not None and rate is not None:
        can = state.saturated_per_s * fewer
        if rate > can * policy.get("calm", 1.0):
            one = f"{state.saturated_per_s:,.3g}"
            return f"; {fewer} could do {can:,.3g} of them, as a worker was last seen to do {one} while requests waited"
    share = fewer / max(decision.workers_now, fewer)
    marks = (
        ("cpu", f"CPU {seen.get('cpu', 0):.0%}", policy.get("low_cpu", 1.0) * share, ".0%"),
        ("memory", f"memory {seen.get('memory', 0):.0%}", policy.get("low_memory", 1.0), ".0%"),
        ("queued", f"{seen.get('queued', 0):,.0f} waiting", policy.get("low_queue", 0.0), ",.0f"),
        ("wait_s", f"a wait of {seen.get('wait_s', 0):.1f} s", policy.get("low_wait_s", 0.0), ".3g"),
        ("expired", f"{seen.get('expired', 0):.1%} expired", policy.get("low_expired", 0.0), ".1%"),
    )
    high = [f"{text} (above {mark:{form}})" for name, text, mark, form in marks if seen.get(name, 0.0) > mark]
    why = _list(high) if high else f"not all was low in the last {policy['low_for_s'] / 60:.3g} min"
    return f"; not {fewer}, since {why}"


def _outcome(event: ScalingEvent) -> str:
    match event.outcome:
        case "applied":
            return f"Carried out by {event.realizer} in {event.took_s:.1f} s."
        case "superseded":
            return f"A newer decision came after {event.took_s:.1f} s, before {event.realizer} had carried it out."
        case _:
            return f"NOT carried out by {event.realizer}: {event.message}."


def _list(parts: Sequence[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def _when(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
