"""What every answer is counted in: one number a response, read by Prometheus and by the samples alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from schemas.metric_sample import Component
from schemas.response import Status
from streams.metrics.fine_histogram import family
from streams.metrics.histogram import Durations
from topics.names import Priority


class Tags(NamedTuple):
    """What an answer is told apart by; each from a small fixed set."""

    priority: Priority
    component: Component
    operation: str
    status: Status


CountedAs = Status | Literal["cancelled"]
"""An answer's status; of a cancelled request, whose answer nobody waits for, that: it is neither good nor a failure."""


class AnswerCounts(Collector):
    """Two metrics out of one count: responses by their tags, and how long they took by class.

    A counter and a histogram of prometheus-client cost 1.4 us a response, and their buckets are too wide for a sample; this
    costs 0.4 us.
    """

    def __init__(
        self,
        counter: tuple[str, str],
        histogram: tuple[str, str],
        bounds_s: Sequence[float],
        registry: CollectorRegistry,
        from_the_start: Sequence[Tags] = (),
    ) -> None:
        """`counter` and `histogram`: name and meaning. `from_the_start`: responses that are shown as 0 before there are any."""
        self._by_key = _ByKey()
        self._counter = counter
        self._histogram = histogram
        self._bounds_s = bounds_s
        self._from_the_start = from_the_start
        registry.register(self)

    def count(
        self, priority: Priority, component: Component, operation: str, status: CountedAs, seconds: float
    ) -> None:
        """One answer, `seconds` after its record's timestamp."""
        self._by_key[priority, component, operation, status].add(seconds)

    @property
    def by_tags(self) -> Mapping[Tags, Durations]:
        """The counts, as they go on; cancelled requests are none."""
        return {Tags(*key[:3], key[3]): durations for key, durations in self._by_key.items() if key[3] != "cancelled"}

    def described(self) -> tuple[tuple[str, str, tuple[str, ...], str], ...]:
        """Name, kind, labels and meaning of both."""
        (counter, counts), (histogram, lasts) = self._counter, self._histogram
        return (f"{counter}_total", "counter", Tags._fields, counts), (histogram, "histogram", ("priority",), lasts)

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily(*self._counter, labels=Tags._fields)
        by_class: dict[str, tuple[list[int], list[float]]] = {}
        for tags, durations in self._by_key.items():
            counter.add_metric(tags, sum(durations.counts))
            counts, sums = by_class.get(tags[0], ([0] * len(durations.counts), []))
            by_class[tags[0]] = (
                [a + b for a, b in zip(counts, durations.counts, strict=True)],
                [*sums, durations.sum_ms],
            )
        for tags in self._from_the_start:
            if tags not in self._by_key:
                counter.add_metric(tags, 0)
        yield counter
        yield family(
            self._histogram,
            ("priority",),
            self._bounds_s,
            (((priority,), counts, sum(sums)) for priority, (counts, sums) in by_class.items()),
        )


class _ByKey(dict[tuple[Priority, Component, str, CountedAs], Durations]):
    """Makes what is missing: a look-up is all that the hot path pays."""

    def __missing__(self, tags: tuple[Priority, Component, str, CountedAs]) -> Durations:
        made = self[tags] = Durations()
        return made
