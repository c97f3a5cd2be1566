"""The metrics of a worker: named alike, explained, and with labels from small fixed sets."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

from streams.metrics import definitions

METRICS = [found for found in vars(definitions).values() if isinstance(found, Counter | Gauge | Histogram)]
LABELS = {
    "segment",
    "priority",
    "provider",
    "result",
    "reason",
    "status",
    "kind",
    "tier",
    "model",
    "worker",
    "endpoint",
    "cache",
}


def test_every_metric_is_headraces_own_and_says_what_it_means() -> None:
    assert METRICS
    for metric in METRICS:
        assert metric._name.startswith("headrace_")
        assert metric._documentation.endswith(".")
        assert len(metric._documentation) > 20


def test_labels_come_from_small_sets_and_never_name_an_agent_or_a_request() -> None:
    for metric in METRICS:
        assert set(metric._labelnames) <= LABELS, metric._name


def test_durations_are_seconds_and_their_buckets_rise() -> None:
    for metric in METRICS:
        if isinstance(metric, Histogram):
            assert metric._name.endswith("_seconds")
            assert list(metric._upper_bounds) == sorted(metric._upper_bounds)


def test_prometheus_can_read_all_of_them() -> None:
    exposed = generate_latest(REGISTRY).decode()
    for metric in METRICS:
        assert f"# HELP {metric._name}" in exposed
