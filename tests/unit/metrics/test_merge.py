"""What a window says of its samples: sums, means over time and moments, largest values; and what of Kafka's lag waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.metric_sample import Application, BacklogSample, Class, MetricSample, System
from streams.metrics.period import Period, moment
from streams.windows.merge import fleet_window, worker_window

PERIOD = Period(interval_ms=10_000, window_ms=20_000)
NONE: dict[Class, int] = {"high": 0, "normal": 0, "low": 0}


def sample(
    worker_id: str, at_ms: int, *, partitions: int = 6, limited: bool = False, **changed: object
) -> MetricSample:
    system = {name: value for name, value in changed.items() if name in System.__slots__}
    application = {name: value for name, value in changed.items() if name in Application.__slots__}
    return MetricSample(
        worker_id=worker_id,
        at=moment(at_ms),
        interval_s=float(str(changed.get("interval_s", 10.0))),
        partitions=partitions,
        system=replace(System(), **system),  # type: ignore[arg-type]
        application=replace(Application(in_flight=0, taken=NONE), **application),  # type: ignore[arg-type]
        provider_limited=limited,
    )


def backlog(at_ms: int, normal: int, oldest_s: float = 0.0) -> BacklogSample:
    return BacklogSample(at=moment(at_ms), partitions=12, lag={**NONE, "normal": normal}, oldest_s=oldest_s)


def test_cpu_is_a_mean_over_time() -> None:
    samples = [sample("w", 10_000, interval_s=2.0, cpu_usage=1.0), sample("w", 20_000, interval_s=8.0, cpu_usage=0.5)]
    assert worker_window(PERIOD, 20_000, samples).system.cpu_usage == pytest.approx(0.6)


def test_memory_is_the_most_of_each_worker_and_of_the_fleet_the_sum_and_the_mean_of_these() -> None:
    samples = [
        sample("a", 10_000, memory_usage_bytes=100, memory_share=0.1),
        sample("a", 20_000, memory_usage_bytes=300, memory_share=0.3),
        sample("b", 20_000, memory_usage_bytes=500, memory_share=0.5),
    ]
    system = fleet_window(PERIOD, 20_000, samples, ()).system
    assert system.memory_usage_bytes == 800
    assert system.memory_share == pytest.approx(0.4)


def test_what_waits_in_a_fleet_is_the_mean_of_its_sum_though_workers_come_and_go() -> None:
    samples = [
        sample("leaves", 10_000, queue_length=30, in_flight=4),
        sample("leaves", 13_250, queue_length=0),  # its last one, between two moments
        sample("stays", 10_000, queue_length=10, in_flight=2),
        sample("stays", 20_000, queue_length=40, in_flight=6),
    ]
    application = fleet_window(PERIOD, 20_000, samples, ()).application
    assert (application.queue_length, application.in_flight) == (40, 6)


def test_what_workers_have_in_hand_does_not_wait_in_kafka() -> None:
    samples = [
        sample("a", 10_000, taken={**NONE, "normal": 700}),
        sample("b", 10_000, taken={**NONE, "normal": 200}),
        sample("a", 20_000, taken={**NONE, "normal": 700}),
    ]
    lag = fleet_window(PERIOD, 20_000, samples, [backlog(10_000, 1000), backlog(20_000, 400)]).application.lag
    assert lag == {"high": 0, "normal": 50, "low": 0}  # 100, and then none


def test_the_age_of_what_lies_in_kafka_counts_where_partitions_have_no_owner_most_of_the_time() -> None:
    owned = [sample("a", at_ms, oldest_wait_s=1.0) for at_ms in (10_000, 20_000)]
    owned += [sample("b", at_ms, oldest_wait_s=2.0) for at_ms in (10_000, 20_000)]
    looks = [backlog(10_000, 5, oldest_s=40.0), backlog(20_000, 5, oldest_s=50.0)]
    assert fleet_window(PERIOD, 20_000, owned, looks).application.oldest_wait_s == 2.0
    assert fleet_window(PERIOD, 20_000, owned[:3], looks).application.oldest_wait_s == 2.0
    assert fleet_window(PERIOD, 20_000, owned[:2], looks).application.oldest_wait_s == 50.0
    assert fleet_window(PERIOD, 20_000, [], looks).application.oldest_wait_s == 50.0


def test_a_fleet_is_provider_limited_when_more_than_half_of_its_samples_are() -> None:
    samples = [sample("a", 10_000, limited=True), sample("a", 20_000)]
    assert not fleet_window(PERIOD, 20_000, samples, ()).provider_limited
    assert fleet_window(PERIOD, 20_000, [*samples, sample("b", 10_000, limited=True)], ()).provider_limited


def test_what_no_sample_has_is_not_there() -> None:
    window = worker_window(PERIOD, 20_000, [sample("a", 10_000)])
    system, application = window.system, window.application
    assert {getattr(system, name) for name in System.__slots__ if hasattr(system, name)} == {None}
    missing = (application.queue_length, application.error_rate, application.throughput_per_s, application.lag)
    assert missing == (None, None, None, None)
    assert (window.samples, window.samples_expected) == (1, 2)
