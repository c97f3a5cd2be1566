"""Which record of `scaling.decisions` is in force: the first with a higher epoch than all before it. Pure.

The topic is the referee. A decider writes its decision with the epoch behind the newest that it has read; a reader of the topic,
in its one order, passes over every record whose epoch is not new. So of two deciders that believe to be the one, the
first to be written counts and the other's record changes nothing, whatever was stopped, delayed or sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import structlog
from pydantic import ValidationError

from schemas.scaling_decision import ScalingDecision

log = structlog.get_logger("headrace.scaling")

_EPOCHS_AHEAD: Final = 1_000_000
_FIRST_EPOCH: Final = 1_000_000_000
"""The highest that is believed where none was read before: one a minute for 1,900 years."""


@dataclass(slots=True)
class DecisionLog:
    """The records of the topic, in their order.

    >>> from datetime import UTC, datetime
    >>> def record(epoch: int, decider: str) -> ScalingDecision:
    ...     return ScalingDecision(epoch=epoch, at=datetime.now(UTC), action="hold", workers_now=2, workers_wanted=2,
    ...                            reasons=(), decider_id=decider)
    >>> log = DecisionLog()
    >>> log.note(record(7, "a")), log.note(record(8, "b")), log.note(record(8, "a")), log.note(record(3, "a"))
    (True, True, False, False)
    >>> log.newest.decider_id, log.epoch, log.passed_over
    ('b', 8, 2)
    """

    least: int = 0
    most: int = 2**53
    """Workers that a decision may want; one that wants another number is read as wanting the nearest of these."""
    newest: ScalingDecision | None = None
    passed_over: int = 0
    """Records that were too late."""
    _read: ScalingDecision | None = None
    """The newest as the topic has it."""

    @property
    def epoch(self) -> int:
        """The newest; 0 before the first decision."""
        return self.newest.epoch if self.newest is not None else 0

    def note(self, record: ScalingDecision) -> bool:
        """Take the next record; whether it is in force."""
        if not self.epoch < record.epoch <= self._furthest:
            self.passed_over += 1
            return False
        self._read, self.newest = record, self._within_limits(record)
        return True

    def change_limits(self, least: int, most: int) -> None:
        """Decisions may want other numbers from now on; so may the newest one."""
        self.least, self.most = least, most
        if self._read is not None:
            self.newest = self._within_limits(self._read)

    @property
    def _furthest(self) -> int:
        """Epochs rise one by one. One from far ahead would leave none for those who come after."""
        return _FIRST_EPOCH if self.newest is None else self.newest.epoch + _EPOCHS_AHEAD

    def _within_limits(self, record: ScalingDecision) -> ScalingDecision:
        wanted, state = record.workers_wanted, record.next_state
        clamped = min(max(wanted, self.least), self.most)
        if clamped != wanted:
            log.warning(
                "a decision wants a number that no setting allows", epoch=record.epoch, wanted=wanted, read_as=clamped
            )
            record = record.model_copy(update={"workers_wanted": clamped})
        if state is not None and not self.least <= state.target <= self.most:
            target = min(max(state.target, self.least), self.most)
            record = record.model_copy(update={"next_state": replace(state, target=target)})
        return record


def read_decision(value: bytes | None) -> ScalingDecision | None:
    """A record's decision; None for one that is none."""
    try:
        return ScalingDecision.model_validate_json(value or b"")
    except ValidationError:
        return None
