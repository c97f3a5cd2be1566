"""A sample says what was counted since the last one, in the metrics and tags that the settings want."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from streams.metrics import definitions as metrics
from streams.metrics.answers import AnswerCounts
from streams.metrics.sampler import Sampler
from streams.metrics.samples import AnswersSince, WorkerStats, application
from streams.record_clock import RecordClock
from streams.settings.fleet import ApplicationMetrics, Metrics
from topics.names import PRIORITIES

STATS = WorkerStats(waiting=3, oldest_wait_s=1.25, in_flight=2, taken={"high": 1, "normal": 4, "low": 0}, partitions=6)
ALL = ApplicationMetrics()


@pytest.fixture
def counted() -> AnswerCounts:
    return AnswerCounts(("answers", "All."), ("answer_seconds", "Time."), (1.0,), CollectorRegistry())


def some(counted: AnswerCounts) -> None:
    counted.count("high", "cache", "embeddings", "ok", 0.001)
    counted.count("low", "cache", "embeddings", "ok", 0.001)
    counted.count("low", "providers", "chat.completions", "ok", 1.0)
    counted.count("low", "flow", "chat.completions", "expired", 60.0)


def test_a_sample_counts_its_interval_and_not_the_one_before(counted: AnswerCounts) -> None:
    counted.count("high", "cache", "embeddings", "ok", 5.0)
    since = AnswersSince(counted)
    some(counted)
    first = application(since.take(), STATS, 10.0, ALL)
    assert first.answered == {"ok": 3, "expired": 1}
    assert (first.error_rate, first.throughput_per_s) == (0.25, 0.4)
    assert application(since.take(), STATS, 10.0, ALL).answered == {}
    some(counted)
    assert application(since.take(), STATS, 10.0, ALL).series == first.series


def test_answers_are_told_apart_by_their_tags_and_not_by_class(counted: AnswerCounts) -> None:
    since = AnswersSince(counted)
    some(counted)
    series = application(since.take(), STATS, 10.0, ALL).series
    assert [(each.component, each.operation, each.status, each.answered) for each in series] == [
        ("cache", "embeddings", "ok", 2),
        ("flow", "chat.completions", "expired", 1),
        ("providers", "chat.completions", "ok", 1),
    ]
    assert all(each.request_latency and sum(each.request_latency.counts) == each.answered for each in series)


def test_tags_that_the_settings_leave_out_are_merged(counted: AnswerCounts) -> None:
    since = AnswersSince(counted)
    some(counted)
    series = application(since.take(), STATS, 10.0, ApplicationMetrics(tags=["status"])).series
    assert sorted((each.component, each.operation, each.status, each.answered) for each in series) == [
        (None, None, "expired", 1),
        (None, None, "ok", 3),
    ]


@pytest.mark.parametrize(
    ("metric", "fields"),
    [
        ("request_latency", {"series"}),
        ("queue_length", {"queue_length", "oldest_wait_s"}),
        ("error_rate", {"error_rate", "answered", "series"}),
        ("throughput", {"throughput_per_s", "answered", "series"}),
    ],
)
def test_metrics_that_the_settings_leave_out_are_not_there(
    counted: AnswerCounts, metric: str, fields: set[str]
) -> None:
    since = AnswersSince(counted)
    some(counted)
    made = application(since.take(), STATS, 10.0, ApplicationMetrics.model_validate({"metrics": [metric]}))
    optional = ("queue_length", "oldest_wait_s", "answered", "error_rate", "throughput_per_s", "series")
    assert {name for name in optional if getattr(made, name) not in (None, {}, ())} == fields
    assert {each.request_latency is not None for each in made.series} <= {metric == "request_latency"}


def test_a_sample_says_what_is_in_the_worker(counted: AnswerCounts) -> None:
    made = application({}, STATS, 10.0, ALL)
    assert (made.queue_length, made.oldest_wait_s, made.in_flight) == (3, 1.25, 2)
    assert made.taken == {"high": 1, "normal": 4, "low": 0}
    assert (made.error_rate, made.throughput_per_s) == (0.0, 0.0)


def test_a_call_that_waits_for_a_slow_limit_is_told_by_every_sample_until_it_goes() -> None:
    stats = [replace(STATS, provider_limited=limited) for limited in (False, True, True, False)]
    sampler = Sampler(Metrics(), None, 10**9, iter(stats).__next__, "metrics.samples", RecordClock())
    assert [sampler.take(turn * 10_000).provider_limited for turn in range(4)] == [False, True, True, False]


def test_a_sample_of_a_busy_worker_costs_less_than_half_a_percent_of_a_core() -> None:
    sampler = Sampler(
        Metrics(), None, 10**9, lambda: STATS, "metrics.samples", RecordClock()
    )  # a sample is taken, not sent
    spent_s: list[float] = []
    for turn in range(20):
        for n in range(2_000):
            priority, component = PRIORITIES[n % 3], ("cache", "providers", "flow")[n % 5 % 3]
            status = "expired" if component == "flow" else "ok"
            metrics.RESPONSES.count(priority, component, "embeddings", status, 1.003**n / 1000)  # type: ignore[arg-type]
        began = time.process_time()
        written = sampler.take(turn * 10_000).to_json()
        spent_s.append(time.process_time() - began)
        assert len(written) < 20_000
    assert min(spent_s) / 10 < 0.005  # of the interval's ten seconds
