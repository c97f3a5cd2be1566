"""A timer wheel: items by the moment at which they are due.

Items that are due in the same twentieth of a second share a spoke. Adding and discarding cost the same however many there are
(Varghese and Lauck, 1987). What is due, and what happens then, is for others to decide.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

_SPOKES_A_SECOND = 20
"""A spoke is 50 ms: how late an item may be taken; never early."""


class TimerWheel(Generic[T]):
    """Items by the moment at which they are due; seconds."""

    __slots__ = ("_order", "_spokes")

    def __init__(self) -> None:
        self._spokes: dict[int, dict[T, None]] = {}
        self._order: list[int] = []

    def add(self, item: T, at: float) -> None:
        number = int(at * _SPOKES_A_SECOND) + 1
        spoke = self._spokes.get(number)
        if spoke is None:
            self._spokes[number] = {item: None}
            heappush(self._order, number)
        else:
            spoke[item] = None

    def discard(self, item: T, at: float) -> None:
        """It is not due at that moment any more. Fine if it was not."""
        number = int(at * _SPOKES_A_SECOND) + 1
        spoke = self._spokes.get(number)
        if spoke is None:
            return
        spoke.pop(item, None)
        if not spoke:
            del self._spokes[number]
            if len(self._order) > 2 * len(self._spokes) + 64:  # numbers of spokes that are gone
                self._order = list(self._spokes)
                heapify(self._order)

    def take(self, now: float) -> list[T]:
        """Take out what was due by `now`, first due first to within a spoke."""
        due: list[T] = []
        turned = int(now * _SPOKES_A_SECOND)
        while self._order and self._order[0] <= turned:
            due.extend(self._spokes.pop(heappop(self._order), ()))
        return due
