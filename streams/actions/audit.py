"""Actions with what came of them, for people: what `headrace audit` and the pages show. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.admin import AdminAction, AdminOutcome, BudgetMark
from streams.actions.orders import FleetOrders
from streams.actions.redrives import RedriveBook
from streams.actions.wire import Noted

MOST: Final = 2_000
"""Actions that are kept, the newest."""
_MOST_PROCESSES: Final = 200
_COMMON: Final = frozenset(("action", "action_id", "requested_by", "requested_at", "reason", "touches", "until"))


@dataclass(slots=True)
class AuditEntry:
    """One action. `at`: Unix seconds, by the broker; `outcomes`: the newest of each process, with its time."""

    action: AdminAction
    at: float
    outcomes: dict[str, tuple[AdminOutcome, float]] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """What it is about, in words."""
        return _words(self.action.model_dump(mode="json", exclude=set(_COMMON), exclude_none=True))

    @property
    def state(self) -> str:
        """The worst that a process says; `asked` where none has said anything, `told` where there is nothing to do."""
        if isinstance(self.action, BudgetMark):
            return "told"
        states = {outcome.state for outcome, _ in self.outcomes.values()}
        return next((each for each in ("failed", "refused", "running", "stopped", "done") if each in states), "asked")

    @property
    def last(self) -> AdminOutcome | None:
        """The newest outcome."""
        newest = max(self.outcomes.values(), key=lambda each: each[1], default=None)
        return None if newest is None else newest[0]

    def details(self) -> dict[str, Any]:
        """For programs."""
        outcomes = [
            {**outcome.model_dump(mode="json", exclude_none=True, exclude={"moved": {"until"}}), "recorded_at": at}
            for outcome, at in self.outcomes.values()
        ]
        action = self.action.model_dump(mode="json", exclude_none=True, exclude={"until"})
        return {"action": action, "recorded_at": self.at, "state": self.state, "outcomes": outcomes}


class AdminView:
    """Everything that the topic says: the log, what is in force, and the redrives."""

    def __init__(self) -> None:
        self.orders = FleetOrders()
        self.redrives = RedriveBook()
        self.version = 0
        self._entries: dict[str, AuditEntry] = {}

    def note(self, noted: Noted) -> None:
        """Take a record, in the topic's order."""
        self.version += 1
        self.redrives.note(noted)
        record = noted.record
        if isinstance(record, AdminOutcome):
            entry = self._entries.get(record.action_id)
            if entry is not None and (record.process in entry.outcomes or len(entry.outcomes) < _MOST_PROCESSES):
                entry.outcomes[record.process] = (record, noted.at)
            return
        self.orders.note(record, noted.at)
        if record.action_id not in self._entries:
            self._entries[record.action_id] = AuditEntry(record, noted.at)
            if len(self._entries) > MOST:
                del self._entries[next(iter(self._entries))]

    def clear(self) -> None:
        self.orders.clear()
        self.redrives.clear()
        self._entries.clear()

    def newest(self, count: int) -> list[AuditEntry]:
        """The newest so many, the newest first."""
        return list(reversed(self._entries.values()))[:count]

    def find(self, action_id: str) -> AuditEntry | None:
        return self._entries.get(action_id)

    def running(self) -> Iterator[AuditEntry]:
        """Redrives that have not ended, the oldest first."""
        for name, each in self.redrives.all.items():
            if not each.ended and name in self._entries:
                yield self._entries[name]


def _words(fields: dict[str, Any]) -> str:
    said = []
    for name, value in fields.items():
        if isinstance(value, dict):
            said.append(_words(value) or f"all {name}")
        elif isinstance(value, list):
            said.append(f"{len(value)} chosen" if len(value) > 3 else ", ".join(map(str, value)))
        elif value is not False:
            said.append(
                str(value) if name in ("priority", "endpoint", "request_id", "redrive_id") else f"{name} {value}"
            )
    return ", ".join(said)
