"""Seconds by the clock, and those of them in which the machine ran: what a bar by the clock is held to.

A thread looks at the clock all the time. Where it finds that far more has passed than it slept, nothing of this process ran:
the machine stood still (`python -m tests.support.stalls` does that on purpose) or was starved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_S: Final = 0.05
_STILL_S: Final = 0.3
"""A shorter gap is a busy machine, which a bar has to bear."""
_TRIES: Final = 5


class _Watcher:
    def __init__(self) -> None:
        self._still_s = 0.0
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()
        threading.Thread(target=self._look, name="stopwatch", daemon=True).start()

    def still_s(self) -> float:
        """Seconds in which nothing ran, up to now."""
        with self._lock:
            now = time.monotonic()
            gap_s = now - self._looked_at - _LOOK_S
            if gap_s > _STILL_S:
                self._still_s += gap_s
            self._looked_at = now
            return self._still_s

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            self.still_s()


@cache
def _watcher() -> _Watcher:
    return _Watcher()


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._still_s = _watcher().still_s()
        self._began = time.monotonic()

    @property
    def passed_s(self) -> float:
        """Seconds by the clock: for what must not come earlier."""
        return time.monotonic() - self._began

    @property
    def still_s(self) -> float:
        """Seconds of these in which the machine stood still."""
        return _watcher().still_s() - self._still_s

    @property
    def running_s(self) -> float:
        """Seconds in which the machine ran: for what must not come later."""
        return self.passed_s - self.still_s


async def undisturbed(act: Callable[[], Awaitable[T]]) -> T:
    """What comes of it where the machine ran all the time: what it stood still in is done again, a few times at most."""
    for _ in range(_TRIES):
        watch = Stopwatch()
        found = await act()
        if not watch.still_s:
            break
    return found
