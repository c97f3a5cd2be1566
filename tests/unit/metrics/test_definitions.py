"""The metrics: named alike, explained, and with labels from small fixed sets."""

from __future__ import annotations

import re

from prometheus_client import REGISTRY, Histogram, generate_latest

from streams.metrics import definitions
from streams.metrics.names import Exposed, exposed

METRICS = list(exposed())
LABELS = {
    "segment",
    "priority",
    "tenant",  # of the settings, at most 50 and "other"
    "provider",
    "component",
    "operation",
    "api",
    "stage",
    "outcome",
    "result",
    "reason",
    "status",
    "kind",
    "tier",
    "model",
    "worker",
    "endpoint",
    "cache",
    "gen_ai_provider_name",
    "gen_ai_operation_name",
    "gen_ai_token_type",
    "error_type",
    "action",
    "state",
    "fault",
    "topic",
    "budget",
    "share",
    "why",
    "loop",
}


def test_every_metric_is_headraces_own_or_opentelemetrys_and_says_what_it_means() -> None:
    assert len(METRICS) > 20
    for metric in METRICS:
        assert re.match("headrace_|gen_ai_", metric.name)
        assert metric.meaning.endswith(".")
        assert len(metric.meaning) > 20


def test_labels_come_from_small_sets_and_never_name_an_agent_or_a_request() -> None:
    for metric in METRICS:
        assert set(metric.labels) <= LABELS, metric.name


def test_durations_are_seconds_and_buckets_rise() -> None:
    for metric in vars(definitions).values():
        if isinstance(metric, Histogram):
            assert metric._name.endswith(("_seconds", "_token_usage"))
            assert list(metric._upper_bounds) == sorted(metric._upper_bounds)


def test_no_two_metrics_share_a_name() -> None:
    names = [name for metric in METRICS for name in metric.series]
    assert len(names) == len(set(names))


def test_prometheus_can_read_all_of_them() -> None:
    text = generate_latest(REGISTRY).decode()
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.meaning}" in text
        assert f"# TYPE {metric.name} {metric.kind}" in text


def test_a_query_may_ask_for_the_parts_of_a_histogram() -> None:
    assert Exposed("a_seconds", "histogram", (), "").series == ("a_seconds_bucket", "a_seconds_sum", "a_seconds_count")
