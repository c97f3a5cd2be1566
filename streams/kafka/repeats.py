"""A line that would be said again and again: the first one at once, then one a minute with what was left out."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

EVERY_S: Final = 60.0


@dataclass(slots=True)
class _Trouble:
    said_at: float
    silent: int = 0


@dataclass(slots=True)
class Repeats:
    """What was said of troubles that last, by kind. Pure: `now` is any clock's seconds.

    >>> repeats = Repeats()
    >>> repeats.due("commit", 0.0), repeats.due("commit", 1.0), repeats.due("commit", 61.0)
    (1, 0, 2)
    """

    every_s: float = EVERY_S
    _troubles: dict[Hashable, _Trouble] = field(default_factory=dict)

    def due(self, kind: Hashable, now: float) -> int:
        """Note that it happened; how often it did since the last line if a line is due now, else 0."""
        trouble = self._troubles.get(kind)
        if trouble is None:
            self._troubles[kind] = _Trouble(now)
            return 1
        trouble.silent += 1
        if now < trouble.said_at + self.every_s:
            return 0
        times, trouble.said_at, trouble.silent = trouble.silent, now, 0
        return times

    def over(self, kind: Hashable) -> bool:
        """Note that it works again; whether it had been in trouble."""
        return self._troubles.pop(kind, None) is not None
