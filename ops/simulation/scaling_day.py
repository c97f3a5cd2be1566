"""A day of a real service's load through the policy, on paper, and its picture."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from ops.simulation.plot import COLOURS, Line, Panel, line_chart
from ops.simulation.scaling_model import Minute, Site, run
from streams.scaling.policy import Policy

SHIPPED_DAY: Final = Path(__file__).parents[1] / "data" / "servegen_deepseek-r1_rate_600s.csv"

_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Requests a second over time, with straight lines between the points; level before the first and after the last."""

    at_s: Sequence[float]
    per_s: Sequence[float]

    def __call__(self, at_s: float) -> float:
        index = bisect_right(self.at_s, at_s)
        if index in (0, len(self.at_s)):
            return self.per_s[max(0, index - 1)]
        before, after = self.at_s[index - 1], self.at_s[index]
        share = (at_s - before) / (after - before)
        return self.per_s[index - 1] * (1 - share) + self.per_s[index] * share

    @property
    def lasts_s(self) -> float:
        return self.at_s[-1] - self.at_s[0]


def read_curve(path: Path) -> Curve:
    """A curve from a CSV file with the columns `t_seconds` and `requests_per_second`. Raises OSError, ValueError."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        points = sorted((float(row["t_seconds"]), float(row["requests_per_second"])) for row in rows)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: the columns t_seconds and requests_per_second are wanted ({error})") from None
    if len(points) < 2:
        raise ValueError(f"{path}: at least two points are wanted")
    return Curve([at for at, _ in points], [rate for _, rate in points])


def simulate(curve: Callable[[float], float], site: Site, policy: Policy, until_s: float) -> list[Minute]:
    """The windows of the curve's time, from a fleet that fits its first load on."""
    fits = ceil(curve(0.0) / (site.per_worker_per_s * policy.cpu))
    return list(run(curve, site, policy, until_s, min(max(fits, policy.smallest), policy.largest)))


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What came of it."""

    windows: int
    steps_out: int
    steps_in: int
    largest: int
    expired_share: float
    longest_wait_s: float
    worker_hours: float
    worker_hours_at_peak_size: float
    """What the largest fleet would have cost the whole time."""


def summary(minutes: Sequence[Minute], policy: Policy) -> DaySummary:
    """Totals of a run."""
    moves = [each.decision.direction for each in minutes]
    answers = sum(each.signals.answers for each in minutes)
    expired = sum((each.signals.expired or 0.0) * each.signals.answers for each in minutes)
    largest = max(each.decision.desired for each in minutes)
    hours = policy.window_s / _HOUR_S
    return DaySummary(
        windows=len(minutes),
        steps_out=moves.count("scale_out"),
        steps_in=moves.count("scale_in"),
        largest=largest,
        expired_share=expired / answers if answers else 0.0,
        longest_wait_s=max(each.signals.wait_s or 0.0 for each in minutes),
        worker_hours=sum(each.decision.desired for each in minutes) * hours,
        worker_hours_at_peak_size=largest * len(minutes) * hours,
    )


def picture(minutes: Sequence[Minute], site: Site, title: str, note: str) -> str:
    """Load, capacity, desired workers, and what waits, as SVG."""
    hours = [(each.end_s / _HOUR_S, each) for each in minutes]
    last = round(hours[-1][0])
    return line_chart(
        title,
        [
            Panel(
                "requests a second",
                [
                    Line("load", [(at, each.load_per_s) for at, each in hours], COLOURS[0], fill=True),
                    Line(
                        "capacity",
                        [(at, each.signals.workers * site.per_worker_per_s) for at, each in hours],
                        COLOURS[1],
                        steps=True,
                    ),
                ],
            ),
            Panel(
                "workers",
                [
                    Line("desired", [(at, float(each.decision.desired)) for at, each in hours], COLOURS[3], steps=True),
                    Line("working", [(at, float(each.signals.workers)) for at, each in hours], COLOURS[4], dashed=True),
                ],
            ),
            Panel("waiting requests", [Line("waiting", [(at, each.signals.queued or 0.0) for at, each in hours])]),
        ],
        x_ticks=[float(hour) for hour in range(0, last + 1, max(1, last // 8))],
        x_text=lambda hour: f"{hour:.0f} h",
        note=note,
    )
