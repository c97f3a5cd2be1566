"""A histogram of Prometheus that is read out of fine buckets: its bounds may be many, and an observation still costs one step.

prometheus-client goes through the bounds one by one: with bounds 10 % apart that would be a hundred steps an observation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from streams.metrics.histogram import Durations, cumulative

_STEPS: Final = (
    1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.65, 1.8, 2.0, 2.2, 2.4, 2.5, 2.6, 2.8, 3.0, 3.3, 3.6, 3.9, 4.2, 4.6, 5.0, 5.5, 6.0, 6.5, 7.0,
    7.5, 8.2, 9.0,
)  # fmt: skip
LATENCY_BOUNDS_S: Final = (
    *(float(f"{step}e{exponent}") for exponent in range(-3, 2) for step in _STEPS), 100.0, 300.0, 600.0,
)  # fmt: skip
"""From 1 ms to 100 s at most 11 % apart, so that what `histogram_quantile` says is at most a tenth off; then 5 and 10 minutes."""


class FineHistogram(Collector):
    """Durations by labels."""

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str],
        bounds_s: Sequence[float],
        registry: CollectorRegistry,
        from_the_start: Sequence[tuple[str, ...]] = (),
    ) -> None:
        """`from_the_start`: values of the labels that are shown before there is anything to count."""
        self._name, self._about = name, about
        self._labels = tuple(labels)
        self._bounds_s = bounds_s
        self._by_labels = {values: Durations() for values in from_the_start}
        registry.register(self)

    def labels(self, *values: str) -> Durations:
        """Where durations with these values of the labels are counted: `.add(seconds)`."""
        found = self._by_labels.get(values)
        if found is None:
            found = self._by_labels[values] = Durations()
        return found

    def described(self) -> tuple[tuple[str, str, tuple[str, ...], str], ...]:
        """Name, kind, labels and meaning."""
        return ((self._name, "histogram", self._labels, self._about),)

    def collect(self) -> Iterator[Metric]:
        yield family(
            (self._name, self._about),
            self._labels,
            self._bounds_s,
            ((values, counted.counts, counted.sum_ms) for values, counted in self._by_labels.items()),
        )


def family(
    described: tuple[str, str],
    labels: Sequence[str],
    bounds_s: Sequence[float],
    counted: Iterable[tuple[Sequence[str], list[int], float]],
) -> HistogramMetricFamily:
    """A histogram out of fine counts: for each its values of the labels, its counts, and their sum in ms."""
    made = HistogramMetricFamily(*described, labels=labels)
    names = [str(bound) for bound in bounds_s]
    for values, counts, sum_ms in counted:
        bounds = zip(names, cumulative(counts, bounds_s), strict=True)
        made.add_metric(values, [*bounds, ("+Inf", sum(counts))], sum_ms / 1000)
    return made
