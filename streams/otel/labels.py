"""Metrics under the names that `metrics.semconv` asks for, made when they are scraped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from streams.otel.names import LABELS, Semconv


class Renamed(Collector):
    """What a registry holds, with labels by older names in place of today's, or beside them."""

    def __init__(self, registry: CollectorRegistry, semconv: Semconv) -> None:
        self._registry = registry
        self._semconv = semconv

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        for metric in self._registry.collect():
            if self._semconv != "new" and any(LABELS.keys() & sample.labels.keys() for sample in metric.samples[:1]):
                metric.samples = [each._replace(labels=self._labels(each.labels)) for each in metric.samples]
            yield metric

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in labels.items():
            old = LABELS.get(name)
            if old is None or self._semconv == "both":
                found[name] = value
            if old is not None:
                found[old] = value
        return found
