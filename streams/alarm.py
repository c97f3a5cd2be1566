"""One timer for many waits that follow each other, nearly all of which end before they are due.

`asyncio.timeout` around each of them costs 4 us: a timer is made, put into the loop's heap and cancelled. Here a wait that begins
or ends is an assignment. The timer stands where the first of them was due; when it comes, it finds out what is due by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` once when the moment that was set last is over, if it is set then."""

    __slots__ = ("_due", "_loop", "_ring", "_timer")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        """Ring at this moment of the loop's clock, and not before."""
        self._due = due
        timer = self._timer
        if timer is None or due < timer.when():
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(due, self._look)

    def clear(self) -> None:
        """Do not ring."""
        self._due = None

    def close(self) -> None:
        """Never ring again."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        due = self._due
        if due is None:
            return
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._due = None
            self._ring()
