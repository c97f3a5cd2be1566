"""Some time of a fleet in raw durations, its samples as they travel, and what its windows must say."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import pytest

from schemas.metric_sample import Application, BacklogSample, Component, MetricSample, Series, System
from schemas.metric_window import MetricWindow
from schemas.response import Status
from streams.metrics.histogram import Durations, quantile, since
from streams.metrics.period import Period, moment
from streams.metrics.samples import error_rate

PERIOD = Period(interval_ms=10_000, window_ms=60_000)
GRACE_MS = 10_000
TAGS: Sequence[tuple[Component, str, Status]] = (
    ("cache", "chat.completions", "ok"),
    ("providers", "chat.completions", "ok"),
    ("providers", "embeddings", "error"),
    ("flow", "chat.completions", "expired"),
    ("intake", "unknown", "rejected"),
)
Scope = tuple[str, int]
"""A worker id or `fleet`, and a window's end."""


@dataclass(slots=True)
class Raw:
    """What one worker did in one interval."""

    worker_id: str
    at_ms: int
    durations_ms: dict[tuple[Component, str, Status], list[float]]
    queue_length: int

    def sample(self) -> MetricSample:
        answered = Counter[Status]()
        series = []
        for tags, durations in self.durations_ms.items():
            counted = Durations()
            for each in durations:
                counted.add(each / 1000)
            answered[tags[2]] += len(durations)
            series.append(Series(len(durations), *tags, since(counted, Durations().counts, 0.0)))
        return MetricSample(
            worker_id=self.worker_id,
            at=moment(self.at_ms),
            interval_s=10.0,
            partitions=2,
            system=System(cpu_usage=0.5, cpu_cores=1.0, memory_usage_bytes=1000, memory_share=0.1),
            application=Application(
                in_flight=1,
                taken={"high": 0, "normal": self.queue_length, "low": 0},
                queue_length=self.queue_length,
                oldest_wait_s=0.1 * self.queue_length,
                answered=dict(answered),
                error_rate=error_rate(answered),
                throughput_per_s=answered.total() / 10,
                series=tuple(series),
            ),
        )


@dataclass(slots=True)
class Expected:
    """A window, straight from the raw figures."""

    samples: int = 0
    moments: set[int] = field(default_factory=set)
    queued: list[int] = field(default_factory=list)
    durations_ms: dict[tuple[Component, str, Status], list[float]] = field(default_factory=lambda: defaultdict(list))

    def hold(self, window: MetricWindow) -> None:
        """Fail where the window says anything else."""
        application = window.application
        assert window.samples == self.samples
        answered = Counter[str]()
        for (_, _, status), durations in self.durations_ms.items():
            answered[status] += len(durations)
        assert application.answered == +answered
        assert application.throughput_per_s == pytest.approx(answered.total() / 60)
        failures = answered["error"] + answered["expired"]
        assert application.error_rate == pytest.approx(failures / answered.total() if answered else 0.0)
        assert application.queue_length == pytest.approx(sum(self.queued) / len(self.moments))
        assert {(s.component, s.operation, s.status): s.answered for s in application.series} == {
            tags: len(durations) for tags, durations in self.durations_ms.items()
        }
        for series in application.series:
            assert series.component is not None
            assert series.operation is not None
            assert series.status is not None
            assert series.request_latency is not None
            assert sum(series.request_latency.counts) == series.answered
            _close(series.request_latency, self.durations_ms[series.component, series.operation, series.status])
        everything = [each for durations in self.durations_ms.values() for each in durations]
        if everything:
            _close(application.request_latency, everything)


def _close(histogram: object, durations_ms: list[float]) -> None:
    ordered = sorted(durations_ms)
    for q in (0.5, 0.95, 0.99, 1.0) if ordered else ():
        exact = ordered[max(1, ceil(q * len(ordered))) - 1]
        assert quantile(histogram, q) == pytest.approx(exact, rel=0.02)  # type: ignore[arg-type]


def fleet(rng: random.Random, workers: int, intervals: int, start_ms: int) -> list[Raw]:
    """Every worker's every interval, by time. `start_ms` is a window's start."""
    return [
        Raw(
            f"worker-{number}",
            start_ms + interval * PERIOD.interval_ms,
            {
                tags: [rng.lognormvariate(4, 1.5) + 0.1 for _ in range(rng.randint(1, 20))]
                for tags in TAGS
                if rng.random() < 0.5
            },
            rng.randint(0, 50),
        )
        for interval in range(1, intervals + 1)
        for number in range(workers)
    ]


def expected(raws: Sequence[Raw]) -> dict[Scope, Expected]:
    """The windows of these, each counted once."""
    found: dict[Scope, Expected] = defaultdict(Expected)
    for raw in raws:
        for scope in (raw.worker_id, "fleet"):
            window = found[scope, -(-raw.at_ms // 60_000) * 60_000]
            window.samples += 1
            window.moments.add(raw.at_ms)
            window.queued.append(raw.queue_length)
            for tags, durations in raw.durations_ms.items():
                window.durations_ms[tags] += durations
    return dict(found)


def as_sent(rng: random.Random, raws: Sequence[Raw], duplicates: float) -> list[MetricSample]:
    """Their samples out of order by less than the grace period; some are sent twice, the second time at any time later."""
    sent = [(raw.at_ms + rng.random() * GRACE_MS, number, raw.sample()) for number, raw in enumerate(raws)]
    again = [
        (key + rng.choice((1, 5_000, 600_000)), number, sample)
        for key, number, sample in sent
        if rng.random() < duplicates
    ]
    return [sample for _, _, sample in sorted([*sent, *again], key=lambda each: each[:2])]


def closer(at_ms: int) -> BacklogSample:
    """A sample of the control process, which closes what is before it."""
    return BacklogSample(at=moment(at_ms), partitions=12, lag={"high": 0, "normal": 0, "low": 0}, oldest_s=0.0)
