"""How long a request that comes now will wait, by what has been dispatched lately. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

from topics.names import Priority

_MEMORY_S = 5.0

_LEAST_RATE = 0.1
"""Dispatches a second; below it the past says nothing of the future."""


class WaitEstimate:
    """Dispatches a second by class, the last seconds counting most."""

    def __init__(self, priorities: Iterable[Priority], now: float) -> None:
        self._started = dict.fromkeys(priorities, 0)
        self._rates = dict.fromkeys(priorities, 0.0)
        self._at = now

    def started(self, priority: Priority, count: int = 1) -> None:
        self._started[priority] += count

    def tick(self, now: float) -> None:
        """Take what was started since the last tick into account. Call it every 0.1 s or so."""
        passed_s = now - self._at
        if passed_s <= 0:
            return
        fresh = 1 - exp(-passed_s / _MEMORY_S)
        for priority, started in self._started.items():
            self._rates[priority] += fresh * (started / passed_s - self._rates[priority])
            self._started[priority] = 0
        self._at = now

    def wait_s(self, priority: Priority, ahead: int) -> float | None:
        """Seconds until `ahead` requests of the class are dispatched; None if the class had none lately to judge by."""
        rate = self._rates[priority]
        return ahead / rate if rate >= _LEAST_RATE else None
