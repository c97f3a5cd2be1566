"""What a run says in numbers: one line for people, flat JSON for programs, series for a chart. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.lab.book import Book
from ops.lab.run import Outcome, Sample

MIB: Final = 1024 * 1024
_LEAST_SAMPLES: Final = 8


@dataclass(frozen=True, slots=True)
class Drift:
    """Resident memory of one process: in MiB, over its second quarter and its last one, and the change in percent."""

    process: str
    lived_s: float
    early_mib: float
    late_mib: float

    @property
    def percent(self) -> float:
        """How much more it is late than early, in percent."""
        return (self.late_mib / self.early_mib - 1) * 100 if self.early_mib else 0.0


def one_line(outcome: Outcome) -> str:
    """A run in a line: the seed, what held, and what was felt."""
    verdict = outcome.verdict
    worst = max(outcome.recoveries, key=lambda each: each.recovered_s, default=None)
    felt = f"{worst.recovered_s:.1f} s ({worst.fault.kind})" if worst is not None else "none"
    kinds: dict[str, int] = defaultdict(int)
    for violation in verdict.violations:
        kinds[violation.kind] += 1
    broken = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return (
        f"seed {outcome.schedule.seed}: {'held' if outcome.held else 'BROKEN: ' + broken}; {len(outcome.recoveries)} faults, "
        f"{verdict.asked} asked, {verdict.answered} answered ({_counts(verdict.statuses)}), lost {verdict.lost}, "
        f"paid twice {verdict.paid_twice}, answered twice {verdict.answered_twice}, ok where providers live "
        f"{verdict.availability:.2%}, longest recovery {felt}, p99 {verdict.p99_ms / 1000:.1f} s, "
        f"limit used {verdict.most_of_limit:.0%}"
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """All figures of a run."""
    verdict = outcome.verdict
    return {
        "seed": outcome.schedule.seed,
        "seconds": outcome.schedule.seconds,
        "load_s": round(outcome.load_s, 1),
        "command": outcome.schedule.command(),
        "held": outcome.held,
        "interrupted": outcome.interrupted,
        "violations": [{"kind": each.kind, "what": each.what} for each in verdict.violations],
        "asked": verdict.asked,
        "answered": verdict.answered,
        "lost": verdict.lost,
        "statuses": dict(verdict.statuses),
        "reasons": dict(verdict.reasons),
        "answered_twice": verdict.answered_twice,
        "provider_calls": verdict.calls,
        "paid_twice": verdict.paid_twice,
        "asked_where_providers_live": verdict.live_asked,
        "ok_where_providers_live": verdict.live_ok,
        "availability": verdict.availability,
        "latency_ms": {"p50": verdict.p50_ms, "p99": verdict.p99_ms, "max": verdict.max_ms},
        "most_of_limit": verdict.most_of_limit,
        "faults": [
            {
                "kind": each.fault.kind,
                "detail": each.fault.detail,
                "at_s": round(each.fault.begin - outcome.began_at, 1),
                "lasted_s": round(each.fault.end - each.fault.begin, 1),
                "slow_requests": each.slow,
                "felt_s": round(each.felt_s, 1),
                "recovered_s": round(each.recovered_s, 1),
            }
            for each in outcome.recoveries
        ],
        "memory": [
            {
                "process": each.process,
                "lived_s": round(each.lived_s),
                "early_mib": round(each.early_mib, 1),
                "late_mib": round(each.late_mib, 1),
                "drift_percent": round(each.percent, 2),
            }
            for each in drifts(outcome.samples)
        ],
    }


def drifts(samples: Sequence[Sample]) -> list[Drift]:
    """Memory of each process: the mean of its second quarter beside that of its last; its first quarter is for warming up."""
    by_process: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for sample in samples:
        for name, rss in sample.rss.items():
            if rss:
                by_process[name].append((sample.at, rss))
    found = []
    for name, points in sorted(by_process.items()):
        quarter = len(points) // 4
        if len(points) >= _LEAST_SAMPLES:
            early, late = points[quarter : 2 * quarter], points[-quarter:]
            found.append(Drift(name, points[-1][0] - points[0][0], _mean(early), _mean(late)))
    return found


def answers_over_time(book: Book, step_s: float) -> dict[str, list[tuple[float, float]]]:
    """First answers a second by status, each point at the beginning of its step, in seconds from the first request."""
    if not book.asked:
        return {}
    began = min(asked.at for asked in book.asked.values())
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    seen: set[str] = set()
    for end in sorted(book.ended, key=lambda end: end.at):
        if end.request_id in book.asked and end.request_id not in seen:
            seen.add(end.request_id)
            counts[end.status][int((end.at - began) // step_s)] += 1
    last = max(step for steps in counts.values() for step in steps) if counts else 0
    return {
        status: [(step * step_s, steps[step] / step_s) for step in range(last + 1)] for status, steps in counts.items()
    }


def slowest_over_time(book: Book, step_s: float) -> list[tuple[float, float]]:
    """The longest wait in seconds of the requests of each step, by when they were sent."""
    if not book.asked:
        return []
    began = min(asked.at for asked in book.asked.values())
    first: dict[str, float] = {}
    for end in book.ended:
        first[end.request_id] = min(end.at, first.get(end.request_id, end.at))
    worst: dict[int, float] = defaultdict(float)
    for name, asked in book.asked.items():
        if name in first:
            step = int((asked.at - began) // step_s)
            worst[step] = max(worst[step], first[name] - asked.at - asked.takes_s)
    return [(step * step_s, worst[step]) for step in range(max(worst, default=0) + 1)]


def _mean(points: Sequence[tuple[float, int]]) -> float:
    return sum(rss for _, rss in points) / len(points) / MIB


def _counts(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{status} {count}" for status, count in sorted(statuses.items(), key=lambda each: -each[1]))
