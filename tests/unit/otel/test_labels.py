"""Metrics by older names: in place of today's, or beside them; all else stays."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from streams.otel.labels import Renamed
from streams.otel.names import Semconv


@pytest.mark.parametrize(
    ("semconv", "labels"),
    [
        ("new", 'gen_ai_provider_name="sim"'),
        ("old", 'gen_ai_system="sim"'),
        ("both", 'gen_ai_provider_name="sim",gen_ai_system="sim"'),
    ],
)
def test_a_label_has_the_name_that_is_asked_for(semconv: Semconv, labels: str) -> None:
    registry = CollectorRegistry()
    Histogram("gen_ai_x_seconds", "X.", ["gen_ai_provider_name"], registry=registry, buckets=[1]).labels("sim").observe(
        2
    )
    Counter("headrace_x", "X.", ["provider"], registry=registry).labels("sim").inc()
    told = generate_latest(Renamed(registry, semconv)).decode()
    assert f"gen_ai_x_seconds_sum{{{labels}}} 2.0" in told
    assert 'headrace_x_total{provider="sim"} 1.0' in told
    assert told.count("gen_ai_provider_name") == (0 if semconv == "old" else told.count("{gen_ai_provider_name"))
