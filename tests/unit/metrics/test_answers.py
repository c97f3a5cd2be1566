"""Answers are counted once, and Prometheus reads from that count what its own counter and histogram would say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from streams.metrics.answers import AnswerCounts

BOUNDS_S = (0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 60.0)


def counted(registry: CollectorRegistry) -> AnswerCounts:
    return AnswerCounts(("answers", "All."), ("answer_seconds", "Time."), BOUNDS_S, registry)


def test_prometheus_sees_responses_by_their_tags() -> None:
    registry = CollectorRegistry()
    answers = counted(registry)
    answers.count("high", "cache", "embeddings", "ok", 0.003)
    answers.count("high", "cache", "embeddings", "ok", 0.004)
    answers.count("low", "intake", "unknown", "rejected", 0.0)
    tags = {"priority": "high", "component": "cache", "operation": "embeddings", "status": "ok"}
    assert registry.get_sample_value("answers_total", tags) == 2
    assert registry.get_sample_value("answer_seconds_count", {"priority": "high"}) == 2
    assert registry.get_sample_value("answer_seconds_sum", {"priority": "high"}) == pytest.approx(0.007)
    assert registry.get_sample_value("answer_seconds_bucket", {"priority": "low", "le": "0.001"}) == 1
    assert b"# TYPE answers_total counter" in generate_latest(registry)


@given(st.lists(st.floats(0, 100), max_size=60))
def test_a_bucket_holds_what_prometheus_own_would_but_for_what_lies_within_a_hundredth_of_its_bound(
    seconds: list[float],
) -> None:
    clear = [each for each in seconds if all(abs(each / bound - 1) > 0.0109 for bound in BOUNDS_S)]
    registry, reference = CollectorRegistry(), CollectorRegistry()
    answers, histogram = counted(registry), Histogram("answer_seconds", "Time.", buckets=BOUNDS_S, registry=reference)
    for each in clear:
        answers.count("normal", "providers", "chat.completions", "ok", each)
        histogram.observe(each)
    for bound in (*BOUNDS_S, "+Inf") if clear else ():
        wanted = reference.get_sample_value("answer_seconds_bucket", {"le": str(bound)})
        assert registry.get_sample_value("answer_seconds_bucket", {"priority": "normal", "le": str(bound)}) == wanted
