"""The dispatchers: how many there are, and how many calls each has under way.

A dispatcher keeps up to a batch of calls under way and takes the next request whenever one ends, so that a slow call idles
nothing. The first dispatchers fill first: the last ones have nothing to do when there is little, and may go.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PoolRules:
    """Sizes, and when the pool grows and shrinks; seconds.

    It grows by one when all dispatchers are full and the next request has waited `grow_wait_s`. It shrinks by one when for
    `shrink_after_s` on end one fewer would have had room to spare and nobody waited `shrink_wait_s`.
    """

    least: int
    most: int
    batch: int
    grow_wait_s: float = 0.05
    shrink_wait_s: float = 0.01
    shrink_after_s: float = 5.0
    spare_share: float = 0.25


@dataclass(slots=True)
class Pool:
    """Calls under way by dispatcher."""

    rules: PoolRules
    calls: list[int] = field(default_factory=list)
    _calm_since: float | None = None

    def __post_init__(self) -> None:
        self.calls = [0] * self.rules.least

    @property
    def size(self) -> int:
        return len(self.calls)

    @property
    def capacity(self) -> int:
        """Most calls under way at this size."""
        return len(self.calls) * self.rules.batch

    @property
    def idle(self) -> bool:
        """Whether a dispatcher has nothing to do."""
        return not all(self.calls)

    def take(self) -> int:
        """A place for one call: the number of its dispatcher. There must be one."""
        for number, calls in enumerate(self.calls):
            if calls < self.rules.batch:
                self.calls[number] += 1
                return number
        raise AssertionError("no dispatcher has room: hold the slots before")

    def give_back(self, number: int) -> None:
        self.calls[number] -= 1

    def adjust(self, now: float, wait_s: float, *, full: bool) -> bool:
        """Grow or shrink by one if it is time. Call it every 0.1 s or so.

        `wait_s` is how long the next request has waited, 0 if none waits; `full` whether it waits for a dispatcher.
        Returns whether the size has changed.
        """
        rules = self.rules
        if full and wait_s >= rules.grow_wait_s:
            self._calm_since = None
            if len(self.calls) < rules.most:
                self.calls.append(0)
                return True
            return False
        fewer = (len(self.calls) - 1) * rules.batch
        if wait_s >= rules.shrink_wait_s or sum(self.calls) > fewer * (1 - rules.spare_share):
            self._calm_since = None
            return False
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since >= rules.shrink_after_s and len(self.calls) > rules.least and not self.calls[-1]:
            self.calls.pop()
            self._calm_since = now
            return True
        return False
