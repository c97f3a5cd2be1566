"""Who called how often and how each call ended: counts in memory, and a line a call in a file."""

import collections
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

MAX_IDS = 1_000_000
"""Ids counted apart; calls of further ones count in the totals only."""


@dataclass(slots=True)
class Call:
    """A call under way."""

    number: int
    request_id: str | None
    operation: str
    began_s: float


@dataclass(slots=True)
class Counts:
    calls: int = 0
    peers: set[tuple[object, ...]] = field(default_factory=set)
    """Addresses and ports that anything came from: as many as there were connections."""
    checks: int = 0
    """Of health: GET of the models or of /healthz."""
    attached: int = 0
    """Calls of responses in the background that were begun before: read on, fetched, cancelled."""
    compressed: int = 0
    """Calls whose body came compressed."""
    in_flight: int = 0
    max_in_flight: int = 0
    by_id: dict[str, int] = field(default_factory=dict)
    by_outcome: collections.Counter[str] = field(default_factory=collections.Counter)


class Ledger:
    """Counts calls, and writes each to `path`, if given, at its arrival and at its end.

    A line is one JSON object, handed to the operating system before the call goes on, so that what was counted is there
    even if the simulator is killed: `event` (`arrival` or `end`), `call` (a number), `id`, `operation`, `at` (seconds
    since 1970), at the end also `outcome`, `status` and `took_ms`. The file is appended to.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.counts = Counts()
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path else None
        self._number = 0

    def earlier_calls(self, request_id: str | None) -> int:
        return self.counts.by_id.get(request_id, 0) if request_id is not None else 0

    def met(self, peer: tuple[object, ...]) -> None:
        """Count a connection, by its other end."""
        self.counts.peers.add(peer)

    def arrive(self, request_id: str | None, operation: str, *, compressed: bool = False) -> Call:
        counts = self.counts
        self._number += 1
        counts.calls += 1
        counts.compressed += compressed
        counts.in_flight += 1
        counts.max_in_flight = max(counts.max_in_flight, counts.in_flight)
        if request_id is not None and (request_id in counts.by_id or len(counts.by_id) < MAX_IDS):
            counts.by_id[request_id] = counts.by_id.get(request_id, 0) + 1
        call = Call(self._number, request_id, operation, time.monotonic())
        self._write("arrival", call, {})
        return call

    def end(self, call: Call, outcome: str, status: int) -> None:
        self.counts.in_flight -= 1
        self.counts.by_outcome[outcome] += 1
        took_ms = round((time.monotonic() - call.began_s) * 1000, 1)
        self._write("end", call, {"outcome": outcome, "status": status, "took_ms": took_ms})

    def stats(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "calls": counts.calls,
            "connections": len(counts.peers),
            "checks": counts.checks,
            "attached": counts.attached,
            "compressed": counts.compressed,
            "in_flight": counts.in_flight,
            "max_in_flight": counts.max_in_flight,
            "by_outcome": dict(counts.by_outcome),
            "by_id": counts.by_id,
        }

    def reset(self) -> None:
        """Count from zero; calls under way stay under way."""
        under_way = self.counts.in_flight
        self.counts = Counts(in_flight=under_way, max_in_flight=under_way)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: str, call: Call, more: dict[str, Any]) -> None:
        if self._file is None:
            return
        line = {"event": event, "call": call.number, "id": call.request_id, "operation": call.operation}
        self._file.write(orjson.dumps({**line, "at": time.time(), **more}, option=orjson.OPT_APPEND_NEWLINE))
