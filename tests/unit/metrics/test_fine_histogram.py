"""What Prometheus reads out of fine buckets: quantiles as it computes them, at most a tenth off."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics.definitions import PROVIDER_SECONDS
from streams.metrics.fine_histogram import LATENCY_BOUNDS_S, FineHistogram

RECOMMENDED_S = tuple(0.01 * 2**n for n in range(14))
"""Buckets of gen_ai.client.operation.duration (OpenTelemetry's semantic conventions for generative AI)."""
OLD_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def made(registry: CollectorRegistry) -> FineHistogram:
    return FineHistogram("wait_seconds", "Time.", ["priority"], LATENCY_BOUNDS_S, registry, [("high",), ("low",)])


def buckets(registry: CollectorRegistry, priority: str) -> list[tuple[float, float]]:
    """Upper bound and count of what does not exceed it, as a scrape has them."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return [
        (float(each.labels["le"]), each.value)
        for family in families
        for each in family.samples
        if each.name == "wait_seconds_bucket" and each.labels["priority"] == priority
    ]


def histogram_quantile(q: float, found: list[tuple[float, float]]) -> float:
    """As Prometheus computes it: linear within the bucket in which the rank lies."""
    rank, (low, below) = q * found[-1][1], (0.0, 0.0)
    for bound, count in found:
        if count >= rank:
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    raise AssertionError


@given(st.lists(st.floats(0.0012, 90), min_size=1, max_size=80), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_at_most_a_tenth_and_a_hundredth_off(seconds: list[float], q: float) -> None:
    registry = CollectorRegistry()
    counted = made(registry).labels("high")
    for each in seconds:
        counted.add(each)
    exact = sorted(seconds)[ceil(q * len(seconds)) - 1]
    assert histogram_quantile(q, buckets(registry, "high")) == pytest.approx(exact, rel=0.125)


def test_series_are_there_before_there_is_anything_to_count() -> None:
    registry = CollectorRegistry()
    made(registry)
    assert registry.get_sample_value("wait_seconds_count", {"priority": "low"}) == 0
    assert buckets(registry, "low")[-1] == (float("inf"), 0)


def test_bounds_that_queries_name_are_still_there() -> None:
    assert set(OLD_S) <= set(LATENCY_BOUNDS_S)
    assert list(LATENCY_BOUNDS_S) == sorted(set(LATENCY_BOUNDS_S))
    (described,) = PROVIDER_SECONDS.described()
    assert described[0] == "gen_ai_client_operation_duration_seconds"
    assert {round(each, 5) for each in RECOMMENDED_S} <= set(PROVIDER_SECONDS._bounds_s)
