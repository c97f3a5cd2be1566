"""What a benchmark gives back: a table for people, values for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Report:
    """The first column of a table is a name, the others are figures, written as they are to be shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    values: Mapping[str, Any]
    """The same for programs, with machine and versions."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """What a chart of it shows."""
    notes: Sequence[str] = ()


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of values in ascending order; 0 of none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50 to max, rounded to a hundredth.

    >>> quantiles([3.0, 1.0, 2.0])["p50"]
    2.0
    """
    ordered = sorted(values)
    return {name: round(percentile(ordered, share), 2) for name, share in QUANTILES.items()}
