"""How far apart the moments are at which deltas leave: more, the busier the event loop is. Pure.

What comes between two beats leaves as one delta a stream, and costs worker, broker, front and client once. Who has time tells
each token soon; who has not tells more of them at a time, which makes time again. First tokens wait for no beat.
"""

from __future__ import annotations

from typing import Final

SHORTEST_S: Final = 0.025
LONGEST_S: Final = 0.1
_CALM: Final = 0.35
"""So much of its time the loop may be busy before beats grow longer."""
_FULL: Final = 0.85
"""So busy, and they are as long as they get: beyond this each turn of the loop waits for others."""
_WINDOW_S: Final = 0.2
"""Time over which it is measured how busy the loop is: some beats."""
_LATE: Final = 2.0
"""How much longer a beat gets for each second by which the one before came late: cores that are shared with others show so."""


class Beat:
    """`busy_s`: CPU time of the loop's thread, `now` a monotonic time; both in seconds, from any moment on."""

    def __init__(self, now: float, busy_s: float) -> None:
        self.length_s = SHORTEST_S
        self._since = now
        self._busy_since = busy_s
        self._calm_length_s = SHORTEST_S

    def after(self, now: float, busy_s: float, late_s: float) -> float:
        """The length of the next beat, when one has come `late_s` after it was due."""
        if now - self._since >= _WINDOW_S:
            share = (busy_s - self._busy_since) / (now - self._since)
            self._since, self._busy_since = now, busy_s
            grown = min(1.0, max(0.0, (share - _CALM) / (_FULL - _CALM)))
            # Half of the way each time: longer beats make the loop less busy, which would make them shorter again.
            self._calm_length_s += (SHORTEST_S + grown * (LONGEST_S - SHORTEST_S) - self._calm_length_s) / 2
        self.length_s = min(LONGEST_S, self._calm_length_s + _LATE * max(0.0, late_s))
        return self.length_s
