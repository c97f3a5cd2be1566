"""One sample out of what was counted since the last one: the pure part of the sampler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.histogram import Histogram
from schemas.metric_sample import Application, Series
from schemas.response import Status
from streams.metrics.answers import AnswerCounts, Tags
from streams.metrics.histogram import merge, since
from streams.settings.fleet import ApplicationMetrics
from topics.names import Priority

FAILURES: frozenset[Status] = frozenset({"error", "expired"})
"""Answers that count for the error rate; what is `rejected` is its sender's mistake."""


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """What is in a worker at one moment."""

    waiting: int
    oldest_wait_s: float
    in_flight: int
    taken: Mapping[Priority, int]
    """Records taken out of Kafka and not committed, by class."""
    partitions: int
    """Partition numbers that it owns."""
    owned: tuple[int, ...] = ()
    """Which."""
    address: str | None = None
    """HOST:PORT at which it may be asked."""
    provider_limited: bool = False
    """Whether a call waits for a provider's limit."""


class AnswersSince:
    """What was answered since the last `take`, by the counts of `counted`."""

    def __init__(self, counted: AnswerCounts) -> None:
        self._counted = counted
        self._before: dict[Tags, tuple[list[int], float]] = {}
        self.take()

    def take(self) -> dict[Tags, Histogram]:
        """By tags; those without an answer are left out. Costs 10 us for each."""
        by_tags: dict[Tags, Histogram] = {}
        for tags, durations in self._counted.by_tags.items():
            counts, sum_ms = self._before.get(tags) or ([0] * len(durations.counts), 0.0)
            if counts != durations.counts:
                by_tags[tags] = since(durations, counts, sum_ms)
                self._before[tags] = list(durations.counts), durations.sum_ms
        return by_tags


def application(
    answers: Mapping[Tags, Histogram], stats: WorkerStats, elapsed_s: float, wanted: ApplicationMetrics
) -> Application:
    """The pipeline's part of a sample: the metrics and the tags that the settings want."""
    answered: defaultdict[Status, int] = defaultdict(int)
    for tags, histogram in answers.items():
        answered[tags.status] += sum(histogram.counts)
    counts = {"error_rate", "throughput"} & set(wanted.metrics)
    queue = "queue_length" in wanted.metrics
    return Application(
        in_flight=stats.in_flight,
        taken=dict(stats.taken),
        queue_length=stats.waiting if queue else None,
        oldest_wait_s=round(max(0.0, stats.oldest_wait_s), 3) if queue else None,
        answered=dict(answered) if counts else {},
        error_rate=round(error_rate(answered), 6) if "error_rate" in counts else None,
        throughput_per_s=round(sum(answered.values()) / elapsed_s, 3) if "throughput" in counts else None,
        series=_series(answers, wanted) if counts or "request_latency" in wanted.metrics else (),
    )


def _series(answers: Mapping[Tags, Histogram], wanted: ApplicationMetrics) -> tuple[Series, ...]:
    """Told apart by the wanted tags alone; by class never, which is what the topics are for."""
    alike: defaultdict[tuple[bool | str, ...], list[tuple[Tags, Histogram]]] = defaultdict(list)
    for tags, histogram in sorted(answers.items(), key=lambda each: each[0][1:]):
        alike[
            tuple(name in wanted.tags and getattr(tags, name) for name in ("component", "operation", "status"))
        ].append((tags, histogram))
    made: list[Series] = []
    for same in alike.values():
        tags, merged = same[0][0], merge(histogram for _, histogram in same)
        made.append(
            Series(
                answered=sum(merged.counts),
                component=tags.component if "component" in wanted.tags else None,
                operation=tags.operation if "operation" in wanted.tags else None,
                status=tags.status if "status" in wanted.tags else None,
                request_latency=merged if "request_latency" in wanted.metrics else None,
            )
        )
    return tuple(made)


def error_rate(answered: Mapping[Status, int]) -> float:
    """Share of the answers that failed; 0 where there are none."""
    total = sum(answered.values())
    return sum(count for status, count in answered.items() if status in FAILURES) / total if total else 0.0
