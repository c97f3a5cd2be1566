"""When a request goes that has so many others before it, where classes share one rate by their weights. Pure.

Classes with something waiting share the rate in proportion to their weights, as the scheduler does; one that has nothing
waiting takes what comes of it, at most its share. So the rate of a class rises when another one has run out: a fluid model with
at most one step for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

_LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ClassLoad:
    """One class: its weight, how many wait, and how many come a second."""

    weight: float
    waiting: float
    came_per_s: float


def seconds_until(ahead: float, own: int, classes: Sequence[ClassLoad], per_s: float) -> float | None:
    """Seconds until the request is dispatched that has `ahead` others of the class `own` before it. None where it would be more
    than a day.

    `per_s`: dispatches of all classes together.
    """
    if per_s <= 0:
        return None
    left = [load.waiting for load in classes]
    target = ahead + 1.0
    passed_s = 0.0
    for _ in range(len(classes) + 1):
        shares = _shares(own, classes, left, per_s)
        if shares[own] <= 0:
            return None
        ends_s = target / shares[own]
        empty_s = min(
            (
                left[at] / (shares[at] - load.came_per_s)
                for at, load in enumerate(classes)
                if at != own and left[at] > 0 and shares[at] > load.came_per_s
            ),
            default=inf,
        )
        step_s = min(ends_s, empty_s)
        passed_s += step_s
        if passed_s > _LONGEST_S:
            return None
        if ends_s <= empty_s:
            return passed_s
        target -= shares[own] * step_s
        for at, load in enumerate(classes):
            if at != own and left[at] > 0:
                rest = left[at] + (load.came_per_s - shares[at]) * step_s
                left[at] = rest if rest > 1e-6 else 0.0
    return passed_s + target / _shares(own, classes, left, per_s)[own]


def _shares(own: int, classes: Sequence[ClassLoad], left: Sequence[float], per_s: float) -> list[float]:
    """Dispatches a second by class. Classes that want less than their part (nothing waits, and little comes) leave the rest."""
    waits = [at == own or left[at] > 0 for at in range(len(classes))]
    shares = [0.0] * len(classes)
    open_to = {at for at, load in enumerate(classes) if waits[at] or load.came_per_s > 0}
    rest = per_s
    while True:
        weights = sum(classes[at].weight for at in open_to)
        modest = [
            at for at in open_to if not waits[at] and classes[at].came_per_s <= rest * classes[at].weight / weights
        ]
        if not modest:
            break
        for at in modest:
            shares[at] = classes[at].came_per_s
        rest -= sum(classes[at].came_per_s for at in modest)
        open_to -= set(modest)
    for at in open_to:
        shares[at] = rest * classes[at].weight / weights
    return shares
