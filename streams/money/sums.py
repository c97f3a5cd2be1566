"""Windows of costs, read and summed: each worker's minute once, whatever comes late or twice. Pure.

A minute is open for two hours of the topic's own time: until then a later record of its key takes its place. Records that are
older than that when they are written count as malformed, as no worker writes them; so what has to be remembered is two hours.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from schemas.cost import amount_text, pico_of
from schemas.cost_window import COST_WINDOW, CostRow, CostWindow, cost_window_key

OPEN_S: Final = 2 * 3600
_AHEAD_S: Final = 300
"""A worker whose clock is ahead of the broker's by more is not believed."""

Group = TypeVar("Group", bound=Hashable)


@dataclass(slots=True)
class Sum:
    """Of one name."""

    requests: int = 0
    calls: int = 0
    pico: int = 0
    unknown: int = 0
    """Requests whose model has no known price."""
    estimated: int = 0
    """Requests of which a part is the most that a failed call may have cost."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    folded: int = 0
    """Names that a minute did not tell apart, at most of one minute and worker."""

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts the dearest first, then those that took most tokens."""
        return -self.pico, -(self.prompt_tokens + self.completion_tokens)

    def add(self, row: CostRow) -> None:
        self.requests += row.requests
        self.calls += row.calls
        self.pico += pico_of(row.cost)
        self.unknown += row.unknown
        self.estimated += row.estimated
        self.prompt_tokens += row.prompt_tokens
        self.completion_tokens += row.completion_tokens
        self.folded = max(self.folded, row.folded)

    def row(self, name: str) -> dict[str, Any]:
        """For people: the amount as an exact decimal."""
        return {
            "name": name,
            "requests": self.requests,
            "calls": self.calls,
            "cost": amount_text(self.pico),
            "unknown": self.unknown,
            "estimated": self.estimated,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


@dataclass(slots=True)
class WindowSums(Generic[Group]):
    """Sums by what `group` says of a minute (Unix seconds) and a row; None: it is left out."""

    group: Callable[[int, CostRow], Group | None]
    malformed: int = 0
    of: dict[Group, Sum] = field(default_factory=dict)
    _open: dict[bytes, CostWindow] = field(default_factory=dict)
    _closed: float = 0.0
    """Minutes before it are summed up."""

    def note(self, key: bytes | None, value: bytes | None, written_at: float) -> None:
        """The topic's next record. `written_at`: its time by the broker, in Unix seconds. A tombstone forgets nothing."""
        if value is None:
            return
        try:
            window = COST_WINDOW.validate_json(value)
        except ValueError:
            self.malformed += 1
            return
        minute = int(window.minute.timestamp())
        if key != cost_window_key(window.worker_id, minute) or not (
            written_at - OPEN_S <= minute <= written_at + _AHEAD_S and minute >= self._closed
        ):
            self.malformed += 1
            return
        known = self._open.get(key)
        if known is None or known.seq < window.seq:
            self._open[key] = window
        if written_at - OPEN_S > self._closed + 600:
            self._close(written_at - OPEN_S)

    def rows(self) -> Iterator[tuple[Group, Sum]]:
        """All of it, the dearest first; of the same cost (that of no known price is 0) those with more tokens. Nothing is noted
        after it."""
        self._close(float("inf"))
        yield from sorted(self.of.items(), key=lambda each: (*each[1].rank, str(each[0])))

    def _close(self, until: float) -> None:
        self._closed = until
        for key, window in list(self._open.items()):
            minute = int(window.minute.timestamp())
            if minute < until:
                del self._open[key]
                for row in window.rows:
                    group = self.group(minute, row)
                    if group is not None:
                        found = self.of.get(group)
                        if found is None:
                            found = self.of[group] = Sum()
                        found.add(row)
