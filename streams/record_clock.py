"""The time by which records are stamped, told from this worker's side.

Deadlines and expiry count from the broker's timestamps (`LogAppendTime`), so they are compared with the broker's time. This
machine's wall clock tells it as long as it is right: it is believed within the bounds that the broker's acks set, and no further.
Between acks a clock counts that no step reaches, and that goes on while the machine is suspended (docs/clocks.md).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

_ACKS: Final = 16
"""Bounds are of so many acks: a broker whose clock is set is believed after as many."""
_TIMESTAMP_S: Final = 0.001
"""Timestamps are whole milliseconds."""


def running_s() -> float:
    """Seconds on a clock that never jumps, and goes on while the machine is suspended where the system has such a one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class RecordClock:
    """`now()` is Unix seconds, by the broker's clock to within the time that an ack takes.

    `wall` may step at any time, `running` never does. Before the first ack the wall clock is believed.

    >>> wall, running = [1_000.0], [50.0]
    >>> clock = RecordClock(lambda: wall[0], lambda: running[0])
    >>> clock.acked(sent=50.0, acked=50.2, timestamp=1_000.1)
    >>> clock.now()
    1000.0
    >>> wall[0] += 3_600                        # somebody sets the clock of the machine
    >>> running[0] += 10
    >>> round(clock.now(), 3)
    1010.101
    """

    def __init__(self, wall: Callable[[], float] = time.time, running: Callable[[], float] = running_s) -> None:
        self.running = running
        self._wall = wall
        self._acks: deque[tuple[float, float]] = deque(maxlen=_ACKS)
        self._least, self._most = -inf, inf
        """Bounds of the broker's time, less `running`."""

    def acked(self, sent: float, acked: float, timestamp: float) -> None:
        """A record that was handed over at `sent` and acked at `acked`, by `running`, bears the broker's `timestamp`."""
        self._acks.append((timestamp - acked, timestamp + _TIMESTAMP_S - sent))
        self._least = max(least for least, _ in self._acks)
        self._most = min(most for _, most in self._acks)

    def now(self) -> float:
        """The broker's time, as near as it is known."""
        running = self.running()
        return min(max(self._wall(), running + self._least), running + self._most)

    @property
    def wall_is_off_s(self) -> float:
        """How far this machine's wall clock is beyond what acks allow: ahead, or behind (negative); 0.0 within."""
        return self._wall() - self.now()
