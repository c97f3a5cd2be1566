"""Samples of one window into the window: what is summed, what is averaged, what is the largest.

Every result is the same for the same samples, to the last bit, in whatever order they came: a window that is published twice is
the same window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import fsum

from schemas.metric_sample import BacklogSample, MetricSample, Series, System
from schemas.metric_window import MetricWindow, WindowApplication, WindowSystem
from schemas.response import Status
from streams.metrics.histogram import merge
from streams.metrics.period import Period, moment
from streams.metrics.samples import error_rate
from topics.names import PRIORITIES, Priority

FLEET = "fleet"
"""Scope and key of the windows of all workers together."""


def worker_window(period: Period, end_ms: int, samples: Sequence[MetricSample]) -> MetricWindow:
    """One worker's window of at least one sample."""
    return _window(period, end_ms, samples[0].worker_id, samples, _application(period, samples, ()))


def fleet_window(
    period: Period, end_ms: int, samples: Sequence[MetricSample], backlog: Sequence[BacklogSample]
) -> MetricWindow:
    """The window of all workers' samples (there may be none) and what waited in Kafka meanwhile."""
    return _window(period, end_ms, FLEET, samples, _application(period, samples, backlog))


def _window(
    period: Period, end_ms: int, scope: str, samples: Sequence[MetricSample], application: WindowApplication
) -> MetricWindow:
    workers = len({sample.worker_id for sample in samples})
    return MetricWindow(
        scope=scope,
        start=moment(end_ms - period.window_ms),
        end=moment(end_ms),
        samples=len(samples),
        samples_expected=workers * period.samples,
        workers=workers,
        system=_system(samples),
        application=application,
        provider_limited=2 * sum(sample.provider_limited for sample in samples) > len(samples),
    )


def _system(samples: Sequence[MetricSample]) -> WindowSystem:
    def total(of: Callable[[System], int | None]) -> int | None:
        values = [value for sample in samples if (value := of(sample.system)) is not None]
        return sum(values) if values else None

    cpu = [(s.system.cpu_usage, s.interval_s) for s in samples if s.system.cpu_usage is not None]
    seconds = fsum(interval_s for _, interval_s in cpu)
    bytes_used = _most(samples, lambda sample: sample.system.memory_usage_bytes)
    shares = _most(samples, lambda sample: sample.system.memory_share)
    return WindowSystem(
        cpu_usage=fsum(usage * interval_s for usage, interval_s in cpu) / seconds if seconds else None,
        memory_usage_bytes=int(sum(bytes_used)) if bytes_used else None,
        memory_share=fsum(shares) / len(shares) if shares else None,
        network_received_bytes=total(lambda system: system.network_received_bytes),
        network_sent_bytes=total(lambda system: system.network_sent_bytes),
        disk_read_bytes=total(lambda system: system.disk_read_bytes),
        disk_written_bytes=total(lambda system: system.disk_written_bytes),
    )


def _most(samples: Iterable[MetricSample], of: Callable[[MetricSample], float | None]) -> list[float]:
    """Each worker's largest value."""
    most: dict[str, float] = {}
    for sample in samples:
        if (value := of(sample)) is not None:
            most[sample.worker_id] = max(value, most.get(sample.worker_id, value))
    return list(most.values())


def _application(
    period: Period, samples: Sequence[MetricSample], backlog: Sequence[BacklogSample]
) -> WindowApplication:
    applications = [sample.application for sample in samples]
    # A worker that leaves sends a last sample between two moments; what is measured at moments is not measured then.
    at_moments = {sample.at for sample in samples if round(sample.at.timestamp() * 1000) % period.interval_ms == 0}
    moments = len(at_moments) or len({sample.at for sample in samples})
    queued = [each.queue_length for each in applications if each.queue_length is not None]
    answered: defaultdict[Status, int] = defaultdict(int)
    for each in applications:
        for status, count in each.answered.items():
            answered[status] += count
    series = _series(each for application in applications for each in application.series)
    latencies = [each.request_latency for each in series if each.request_latency is not None]
    knows_errors = any(each.error_rate is not None for each in applications)
    knows_throughput = any(each.throughput_per_s is not None for each in applications)
    return WindowApplication(
        queue_length=sum(queued) / moments if queued else None,
        in_flight=sum(each.in_flight for each in applications) / moments if moments else 0.0,
        answered=dict(sorted(answered.items())),
        error_rate=error_rate(answered) if knows_errors else None,
        throughput_per_s=sum(answered.values()) * 1000 / period.window_ms if knows_throughput else None,
        request_latency=merge(latencies) if latencies else None,
        series=series,
        lag={name: sum(_untaken(each, samples, name) for each in backlog) / len(backlog) for name in PRIORITIES}
        if backlog
        else None,
        oldest_wait_s=_oldest_wait_s(samples, backlog),
    )


def _series(series: Iterable[Series]) -> tuple[Series, ...]:
    """One series for each set of tags."""
    by_tags: defaultdict[tuple[str, str, str], list[Series]] = defaultdict(list)
    for each in series:
        by_tags[each.component or "", each.operation or "", each.status or ""].append(each)
    merged: list[Series] = []
    for _, same in sorted(by_tags.items()):
        latencies = [each.request_latency for each in same if each.request_latency is not None]
        merged.append(
            Series(
                answered=sum(each.answered for each in same),
                component=same[0].component,
                operation=same[0].operation,
                status=same[0].status,
                request_latency=merge(latencies) if latencies else None,
            )
        )
    return tuple(merged)


def _untaken(backlog: BacklogSample, samples: Iterable[MetricSample], priority: Priority) -> int:
    """Records of a class that nobody has taken at that moment.

    Kafka's lag counts what is not committed, and that is mostly what workers have in hand: at 5,000 answers a second and a commit
    each second, 2,500 of them on average, with nothing waiting at all.
    """
    taken = sum(sample.application.taken.get(priority, 0) for sample in samples if sample.at == backlog.at)
    return max(0, backlog.lag.get(priority, 0) - taken)


def _oldest_wait_s(samples: Sequence[MetricSample], backlog: Sequence[BacklogSample]) -> float | None:
    """The longest wait in workers; and in Kafka, where partitions had no owner at most of the moments.

    What has an owner waits in Kafka because its owner's queue is full, of older ones. The oldest record that is not committed may
    be one whose call takes long; only without an owner is it one that waits.
    """
    waits = [s.application.oldest_wait_s for s in samples if s.application.oldest_wait_s is not None]
    unowned = [
        each.oldest_s
        for each in backlog
        if sum(sample.partitions for sample in samples if sample.at == each.at) < each.partitions
    ]
    if 2 * len(unowned) > len(backlog):
        waits += unowned
    return max(waits) if waits else None
