"""What this worker paid, minute by minute, until a record tells it. Pure.

A minute tells so many names apart, and so many bytes of them. Beyond that agents and keys are one row of others, of their tenant,
model and provider still, so that sums by those stay whole; beyond that all is one row. Nothing is left out of a sum.

    nothing --paid--> due --taken--> told --paid--> due (the same key again, with more)
    told, and the minute is over --> forgotten
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from schemas.cost import amount_text
from schemas.cost_window import MOST_BYTES, MOST_ROWS, OTHERS, CostRow, CostWindow

MINUTE_S: Final = 60
MOST_MINUTES: Final = 60
"""That wait while the topic takes nothing; readers believe no older ones (`sums.OPEN_S`)."""
_MOST_NAMES: Final = 10_000
_ESCAPED_BYTES: Final = 6
"""Of a character in JSON, at most."""
_ROW_BYTES: Final = 200
"""Of a row without its names, about."""


class Names(NamedTuple):
    """Whose money it was, and who got it."""

    tenant: str
    key: str
    agent: str
    model: str
    provider: str


@dataclass(slots=True)
class _Row:
    requests: int = 0
    calls: int = 0
    pico: int = 0
    unknown: int = 0
    estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    names: set[int] | None = None
    """Of a row of others: hashes of the names in it."""


@dataclass(slots=True)
class _Minute:
    rows: dict[Names, _Row] = field(default_factory=dict)
    bytes: int = 0
    due: bool = True

    def row(self, names: Names) -> _Row:
        row = self.rows.get(names)
        if row is not None:
            return row
        size = _ROW_BYTES + _ESCAPED_BYTES * sum(map(len, names))
        if len(self.rows) < MOST_ROWS and self.bytes + size <= MOST_BYTES:
            return self._new(names, size)
        fewer = names._replace(key=OTHERS, agent=OTHERS)
        row = self.rows.get(fewer)
        if row is None and len(self.rows) < 2 * MOST_ROWS and self.bytes + size <= MOST_BYTES * 3 // 2:
            row = self._new(fewer, size)
        if row is None:
            rest = Names(OTHERS, OTHERS, OTHERS, OTHERS, OTHERS)
            row = self.rows.get(rest) or self._new(rest, size)
        row.names = set() if row.names is None else row.names
        if len(row.names) < _MOST_NAMES:
            row.names.add(hash(names))
        return row

    def _new(self, names: Names, size: int) -> _Row:
        self.bytes += size
        row = self.rows[names] = _Row()
        return row


@dataclass(slots=True)
class CostBook:
    """Of one worker."""

    worker_id: str
    _seq: int = 0
    _minutes: dict[int, _Minute] = field(default_factory=dict)

    def paid(
        self,
        now: float,
        names: Names,
        *,
        pico: int | None,
        calls: int,
        estimated: bool,
        prompt_tokens: int,
        completion_tokens: int,
    ) -> None:
        """A request that called a provider was answered. `pico` None: nobody knows the price. Costs about 1 us."""
        start = int(now) // MINUTE_S * MINUTE_S
        minute = self._minutes.get(start)
        if minute is None:
            minute = self._minutes[start] = _Minute()
        minute.due = True
        row = minute.row(names)
        row.requests += 1
        row.calls += calls
        if pico is None:
            row.unknown += 1
        else:
            row.pico += pico
            row.estimated += estimated
        row.prompt_tokens += prompt_tokens
        row.completion_tokens += completion_tokens

    def take(self) -> Iterator[CostWindow]:
        """What is to be told, the oldest minute first. One that could not be told is given back with `again`."""
        for start in sorted(start for start, minute in self._minutes.items() if minute.due):
            minute = self._minutes[start]
            minute.due = False
            self._seq += 1
            yield CostWindow.model_construct(  # our own: checking 500 rows would take 2 ms
                worker_id=self.worker_id,
                minute=datetime.fromtimestamp(start, UTC),
                seq=self._seq,
                rows=[_told(names, row) for names, row in minute.rows.items()],
            )

    def again(self, window: CostWindow) -> None:
        """The topic did not take it, or perhaps did: it is told again, under the same key."""
        minute = self._minutes.get(int(window.minute.timestamp()))
        if minute is not None:
            minute.due = True

    def forget(self, now: float) -> int:
        """Drop minutes that are told and over, and the oldest that nobody takes; how much money that was (pico-units)."""
        current, lost = int(now) // MINUTE_S * MINUTE_S, 0
        for start, minute in list(self._minutes.items()):
            if start < current - MINUTE_S and not minute.due:
                del self._minutes[start]
            elif start < current - MOST_MINUTES * MINUTE_S:
                lost += sum(row.pico for row in self._minutes.pop(start).rows.values())
        return lost


def _told(names: Names, row: _Row) -> CostRow:
    return CostRow(
        *names,
        requests=row.requests,
        calls=row.calls,
        cost=amount_text(row.pico),
        unknown=row.unknown,
        estimated=row.estimated,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        folded=0 if row.names is None else len(row.names),
    )
