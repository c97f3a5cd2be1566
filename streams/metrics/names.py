"""What `/metrics` shows, as a list: for the documentation, and for tests that check queries against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

from streams.metrics import definitions
from streams.metrics.answers import AnswerCounts
from streams.metrics.fine_histogram import FineHistogram


@dataclass(frozen=True, slots=True)
class Exposed:
    """One metric. `name` is as Prometheus shows it, without the endings of a histogram."""

    name: str
    kind: str
    """counter, gauge or histogram"""
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> tuple[str, ...]:
        """Names that a query may ask for."""
        return (
            tuple(self.name + end for end in ("_bucket", "_sum", "_count"))
            if self.kind == "histogram"
            else (self.name,)
        )


def exposed() -> Iterator[Exposed]:
    """Every metric of streams/metrics/definitions.py, in its order."""
    for metric in vars(definitions).values():
        if isinstance(metric, AnswerCounts | FineHistogram):
            yield from (Exposed(*each) for each in metric.described())
        elif isinstance(metric, MetricWrapperBase):
            ending = "_total" if metric._type == "counter" else ""
            yield Exposed(metric._name + ending, metric._type or "", tuple(metric._labelnames), metric._documentation)


def reference_page() -> str:
    """docs/metric-names.md."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.meaning} |"
        for each in exposed()
    ]
    return "\n".join((_HEAD, *rows, ""))


_HEAD = """# Metric names

<!-- Made by `headrace metrics names`; a test keeps it current. -->

What `/metrics` of a process shows, in the order in which a request meets it. Each process shows all of them; what it has no part
in stays empty or 0. Besides there are `process_*` and `python_*` of the Python client. What samples and windows are:
[metrics.md](metrics.md).

| name | kind | labels | meaning |
|---|---|---|---|"""
