"""When something that failed may be tried again: pauses that double, with jitter, kept for each thing that is tried."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from streams.backoff import exponential_s


@dataclass(slots=True)
class Backoff:
    """Pure but for `between`, which draws a number from a range: `now` is any clock's seconds.

    >>> backoff = Backoff(between=max)
    >>> backoff.failed("a", 10.0, (0.1, 0.4)); backoff.failed("a", 20.0, (0.1, 0.4))
    >>> backoff.may("a", 20.1), backoff.may("a", 20.2), backoff.may("b", 20.1)
    (False, True, True)
    """

    between: Callable[[float, float], float] = random.uniform
    _failed: dict[Hashable, tuple[int, float]] = field(default_factory=dict)
    """How often in a row, and when it may be tried again."""

    def may(self, what: Hashable, now: float) -> bool:
        """Whether it may be tried now."""
        return what not in self._failed or now >= self._failed[what][1]

    def failed(self, what: Hashable, now: float, range_s: tuple[float, float]) -> None:
        """Note a failure. `range_s`: the pause after the first one, and the longest; half of either is jitter."""
        times = self._failed[what][0] if what in self._failed else 0
        pause_s = exponential_s(times + 1, *range_s)
        self._failed[what] = times + 1, now + self.between(pause_s / 2, pause_s)

    def worked(self, what: Hashable) -> None:
        self._failed.pop(what, None)
