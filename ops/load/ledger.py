"""Who was asked and who was answered: the books of a load, by request id and by the broker's clock. Pure.

The promise under test is that every request which the broker accepted ends in at least one response or dead letter. The
ledger counts exactly that: what was sent, how each ended first, what came more than once, and what never came.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Final

EARLY_LIMIT: Final = 100_000
"""Ends kept for ids that were not sent (yet). An end can overtake the ack of its request, by milliseconds; with others'
requests on the same topics most of these ids will never be ours, so the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a load. Latencies are from the request's record to its first answer's, in ms; 0 without an answer."""

    sent: int
    """Different ids that the broker accepted."""
    answered: int
    ok: int
    error: int
    expired: int
    rejected: int
    dead: int
    """Ids with a dead letter; a rejected request has both, an answer and a dead letter."""
    lost: int
    """Neither answered nor a dead letter."""
    duplicates: int
    """Answers after the first of their id, and dead letters after the first."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True)
class _Entry:
    sent_ms: int
    status: str | None = None
    latency_ms: int = 0
    answers: int = 0
    dead_letters: int = 0


@dataclass(slots=True)
class Ledger:
    """Counts requests and how they ended.

    An id sent twice is one request, from its first record on. Ends of ids that were never sent are ignored.

    >>> ledger = Ledger()
    >>> ledger.note_answer("a", "ok", 1_250)        # overtook the ack of its request
    >>> ledger.note_sent("a", 1_000); ledger.note_sent("b", 1_010)
    >>> ledger.summary().answered, ledger.summary().p50_ms, ledger.lost_ids()
    (1, 250.0, ['b'])
    """

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)
    _early: OrderedDict[str, list[tuple[str | None, int]]] = field(default_factory=OrderedDict)
    _open: int = 0
    _duplicates: int = 0
    _statuses: Counter[str] = field(default_factory=Counter)
    _dead: int = 0

    def note_sent(self, request_id: str, timestamp_ms: int, *aliases: str) -> None:
        """The broker accepted a request; `timestamp_ms` is its record's.

        `aliases` are other names by which its end may be told: `topic:partition:offset` where the fleet cannot read an
        id from the value, or does not accept the one that is there.
        """
        if request_id not in self._entries:
            self._entries[request_id] = _Entry(timestamp_ms)
            self._open += 1
        for name in (request_id, *aliases):
            if name != request_id:
                self._aliases[name] = request_id
            for status, ended_ms in self._early.pop(name, ()):
                self._end(request_id, status, ended_ms)

    def note_answer(self, request_id: str, status: str, timestamp_ms: int) -> None:
        """A response came; `timestamp_ms` is its record's."""
        self._end(request_id, status, timestamp_ms)

    def note_dead_letter(self, request_id: str, timestamp_ms: int = 0) -> None:
        """A dead letter came."""
        self._end(request_id, None, timestamp_ms)

    @property
    def open(self) -> int:
        """Sent, and neither answered nor dead yet."""
        return self._open

    @property
    def sent(self) -> int:
        return len(self._entries)

    @property
    def answered(self) -> int:
        return self._statuses.total()

    def lost_ids(self) -> list[str]:
        """Sent, and neither answered nor dead, in the order in which they were sent."""
        return [name for name, entry in self._entries.items() if not entry.answers and not entry.dead_letters]

    def statuses(self) -> Iterator[tuple[str, str | None]]:
        """Every id with the status of its first answer, None without one."""
        return ((name, entry.status) for name, entry in self._entries.items())

    def summary(self) -> Summary:
        """The state of the books now."""
        latencies = sorted(entry.latency_ms for entry in self._entries.values() if entry.answers)
        return Summary(
            sent=self.sent,
            answered=self.answered,
            ok=self._statuses["ok"],
            error=self._statuses["error"],
            expired=self._statuses["expired"],
            rejected=self._statuses["rejected"],
            dead=self._dead,
            lost=self._open,
            duplicates=self._duplicates,
            p50_ms=percentile(latencies, 0.50),
            p95_ms=percentile(latencies, 0.95),
            p99_ms=percentile(latencies, 0.99),
            max_ms=percentile(latencies, 1.0),
        )

    def _end(self, name: str, status: str | None, ended_ms: int) -> None:
        """One end: an answer with its status, or a dead letter (None)."""
        entry = self._entries.get(self._aliases.get(name, name))
        if entry is None:
            self._early.setdefault(name, []).append((status, ended_ms))
            while len(self._early) > EARLY_LIMIT:
                self._early.popitem(last=False)
            return
        if not entry.answers and not entry.dead_letters:
            self._open -= 1
        if status is None:
            entry.dead_letters += 1
            self._dead += entry.dead_letters == 1
            self._duplicates += entry.dead_letters > 1
            return
        entry.answers += 1
        if entry.answers > 1:
            self._duplicates += 1
            return
        entry.status = status
        entry.latency_ms = max(0, ended_ms - entry.sent_ms)
        self._statuses[status] += 1


def percentile(ordered: list[int], share: float) -> float:
    """The nearest-rank percentile of values in ascending order; 0 of none.

    >>> percentile([10, 20, 30, 40], 0.5), percentile([10, 20, 30, 40], 0.95), percentile([], 0.5)
    (20.0, 40.0, 0.0)
    """
    return float(ordered[max(0, ceil(share * len(ordered)) - 1)]) if ordered else 0.0
