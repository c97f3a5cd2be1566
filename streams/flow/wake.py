"""The alarm clock of dispatch: the queues are looked at again after a while, once for all that ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from streams.supervise import fault


class Wake:
    """Calls `look` at the earliest of the moments that were asked for; `clock` is monotonic.

    A fault of `look` is told and counted: in a callback nobody would take it. Whoever needs it looks again by itself.
    """

    def __init__(self, look: Callable[[], None], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._at = inf
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._stopped = False

    def after(self, seconds: float) -> None:
        """Look in so many seconds, or before. 0: in the loop's next turn; calls that end in one turn of it wake it once."""
        at = self._clock() + seconds
        if self._stopped or at >= self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._at = at
        self._timer = loop.call_later(seconds, self._on_timer) if seconds > 0 else loop.call_soon(self._on_timer)

    def stop(self) -> None:
        """Never again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self) -> None:
        self._timer, self._at = None, inf
        try:
            self._look()
        except Exception as error:
            fault("flow", error, "the queue could not be looked at")
