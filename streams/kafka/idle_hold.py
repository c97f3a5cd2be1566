"""How long a broker may hold a fetch: longer where nothing has come for a while. Pure.

A held fetch costs no record any time: the broker answers as soon as there is one (fetch.min.bytes is 1). It costs what waits
behind it on its connection, as a rebalance's first look at offsets, so that it is long only where there is nothing to do; half
a second is what Kafka's own consumers have at all times (https://kafka.apache.org/documentation/#consumerconfigs_fetch.max.wait.ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IDLE_HOLD_MS: Final = 500
_IDLE_AFTER: Final = 20
"""Fetches in a row that brought nothing: 2 s of the default's 100 ms."""


@dataclass(slots=True)
class IdleHold:
    """Of one broker. `usual_ms`: the setting; one that is longer than half a second stays as it is."""

    usual_ms: int
    _in_vain: int = 0

    def ms(self) -> int:
        return max(self.usual_ms, IDLE_HOLD_MS) if self._in_vain >= _IDLE_AFTER else self.usual_ms

    def note(self, *, brought: bool) -> None:
        """What a fetch that could be held has brought."""
        self._in_vain = 0 if brought else self._in_vain + 1
