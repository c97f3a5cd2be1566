"""The broker's clock, as seen from here: between which two moments it is now.

A record of ours was written between its sending and its ack, and the ack says when by the broker's clock. So nobody's own
clock has to be right; it only has to run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from streams.record_clock import running_s

_SAMPLES = 16
_TIMESTAMP_S = 0.001  # timestamps are whole milliseconds


class BrokerClock:
    """Bounds of the broker's time, in Unix seconds. `running` is a clock of this machine that never jumps.

    >>> clock = BrokerClock(lambda: 110.0)
    >>> clock.acked(sent=100.0, acked=100.5, timestamp=5000.0)
    >>> clock.earliest(), round(clock.latest(), 3)
    (5009.5, 5010.001)
    """

    def __init__(self, running: Callable[[], float] = running_s) -> None:
        self.running = running
        self._bounds: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)
        self._ahead = -inf

    @property
    def known(self) -> bool:
        """Whether a record of ours was acked yet. Until then `latest` is infinite and nothing that is dated holds."""
        return bool(self._bounds)

    def acked(self, sent: float, acked: float, timestamp: float) -> None:
        """A record that was handed over at `sent` and acked at `acked`, by `running`, has the broker's `timestamp`."""
        self._bounds.append((timestamp - acked, timestamp + _TIMESTAMP_S - sent))

    def read(self, timestamp: float) -> None:
        """A record with this timestamp was just read: it is at least as late by the broker's clock."""
        self._ahead = max(self._ahead if self.known else -inf, timestamp - self.running())

    def latest(self) -> float:
        """It is not later than this. What is dated is over when this says so."""
        if not self._bounds:
            return inf
        return self.running() + max(self._ahead, min(high for _, high in self._bounds))

    def earliest(self) -> float:
        """It is at least this late. What has to wait waits until this says so."""
        if not self._bounds:
            return -inf
        return self.running() + max(low for low, _ in self._bounds)
