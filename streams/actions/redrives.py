"""The redrives of the topic, and how far each is. Pure.

    asked --begins--> running --no more letters--> done
      \\                | ^
       \\             stop go on
        \\              v |
         too many, or stopped --(nobody lets it go on)
         no dead letters: refused

One runs at a time, in the order in which they were asked for. Its place is in its newest outcome, which was written in one
transaction with what it had sent by then: whoever goes on there sends nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from schemas.admin import AdminOutcome, GoOnRedrive, Moved, OutcomeState, Redrive, StopRedrive
from streams.actions.outcomes import outcome_of
from streams.actions.wire import Noted

MOST_OPEN: Final = 100
MOST_KEPT: Final = 500
"""Ended ones that are still known."""
MOST_UNTOLD: Final = 1_000

_ENDS: Final[frozenset[OutcomeState]] = frozenset(("done", "failed", "refused"))


@dataclass(slots=True)
class RedriveState:
    """One redrive. `rate` is that of who let it go on last."""

    action: Redrive
    at: float
    rate: int
    state: OutcomeState | None = None
    """None: it has not begun."""
    moved: Moved = field(default_factory=Moved)
    words: str = ""
    heard_at: float = 0.0
    """The time of its newest outcome."""
    stopping: bool = False

    @property
    def ended(self) -> bool:
        return self.state in _ENDS


class RedriveBook:
    """Takes the topic's records in their order."""

    def __init__(self) -> None:
        self.all: dict[str, RedriveState] = {}
        self._untold: dict[str, StopRedrive | GoOnRedrive] = {}
        """What nobody has said yet that it was done, or not."""

    def clear(self) -> None:
        self.all.clear()
        self._untold.clear()

    def note(self, noted: Noted) -> None:
        """Take a record; others than those of redrives change nothing."""
        record = noted.record
        if isinstance(record, Redrive):
            if record.action_id not in self.all:
                self.all[record.action_id] = RedriveState(record, noted.at, record.rate)
                self._forget()
        elif isinstance(record, StopRedrive | GoOnRedrive):
            known = self.all.get(record.redrive_id)
            if known is not None and not known.ended:
                known.stopping = isinstance(record, StopRedrive)
                if isinstance(record, GoOnRedrive) and record.rate is not None:
                    known.rate = record.rate
            if len(self._untold) < MOST_UNTOLD:
                self._untold[record.action_id] = record
        elif isinstance(record, AdminOutcome):
            self._untold.pop(record.action_id, None)
            known = self.all.get(record.action_id)
            if known is not None and record.action == "redrive" and not known.ended:
                known.state, known.words, known.heard_at = record.state, record.words, noted.at
                if record.moved is not None:
                    until = record.moved.until or known.moved.until
                    known.moved = record.moved.model_copy(update={"until": until})

    def next(self) -> RedriveState | None:
        """The first one that is to run, or to be told as stopped."""
        return next(
            (each for each in self.all.values() if not each.ended and not (each.stopping and each.state == "stopped")),
            None,
        )

    def answers(self) -> list[AdminOutcome]:
        """What is to be said of stops and goings-on, and of redrives that are too many; the same until it was read back."""
        said: list[AdminOutcome] = []
        for asked in self._untold.values():
            known = self.all.get(asked.redrive_id)
            if known is None:
                said.append(
                    outcome_of(asked.action_id, asked.action, "refused", f"there is no redrive {asked.redrive_id}")
                )
            else:
                words = f"it had ended already: {known.state}" if known.ended else ""
                said.append(outcome_of(asked.action_id, asked.action, "done", words, known.moved.sent))
        waiting = [each for each in self.all.values() if not each.ended]
        said += [
            outcome_of(each.action.action_id, "redrive", "refused", f"{MOST_OPEN} redrives wait already")
            for each in waiting[MOST_OPEN:]
            if each.state is None
        ]
        return said

    def _forget(self) -> None:
        ended = [name for name, each in self.all.items() if each.ended]
        for name in ended[: max(0, len(ended) - MOST_KEPT)]:
            del self.all[name]
        if len(self.all) > MOST_KEPT + 10 * MOST_OPEN:  # a stranger's flood: the newest are not known
            self.all.popitem()
