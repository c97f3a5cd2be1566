"""A worker carries out what concerns it: pauses of classes, drains of endpoints.

What was in force before its start it carries out in silence; of what comes later it says what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from schemas.admin import AdminOutcome, Drain, Forget, Pause, Resume, Undrain
from streams.actions.orders import FleetOrders, named
from streams.actions.outcomes import outcome_of
from streams.actions.wire import Noted
from streams.metrics import definitions as metrics
from topics.names import PRIORITIES, Priority

log = structlog.get_logger("headrace.actions")

_CONCERNS: Final = (Pause, Resume, Drain, Undrain)


class Carried(Protocol):
    """What a worker can do."""

    def pause(self, priority: Priority, paused: bool) -> int:
        """Dispatch requests of a class no more, or again; how many wait."""

    def drain(self, endpoint: str, draining: bool) -> int:
        """Give an endpoint no new calls, or calls again; how many are under way. Raises ValueError where there is none."""

    def forget(self, owner: str, until: Mapping[int, int], tell: Callable[[int], None]) -> None:
        """Drop an owner's cached answers, and tell how many were in memory alone once the store has read the deletions before
        these offsets. Raises ValueError where too many are asked for.
        """


class Carrier:
    """Takes actions in the topic's order. Until `begin` it only notes them."""

    def __init__(self, worker: Carried, tell: Callable[[AdminOutcome], None]) -> None:
        self.orders = FleetOrders()
        self._worker = worker
        self._tell = tell
        self._begun = False

    def begin(self) -> None:
        """Everything from before is read: carry out what is in force."""
        self._begun = True
        for priority in self.orders.paused:
            self._worker.pause(priority, True)
            log.warning("a class is paused", priority=priority)
        for endpoint in self.orders.drained:
            self._drain_quietly(endpoint, True)
        self._show()

    def take(self, noted: Noted) -> None:
        """An action, or an outcome of one."""
        action = noted.record
        if isinstance(action, Forget):
            self._forget(action)
            return
        if not isinstance(action, _CONCERNS):
            return
        taken = self.orders.note(action, noted.at)
        if not self._begun:
            return
        try:
            if not taken:
                raise ValueError("too many endpoints are drained")
            words, touched = self._carry_out(action)
            outcome = outcome_of(action.action_id, action.action, "done", words, touched)
        except ValueError as error:
            outcome = outcome_of(action.action_id, action.action, "failed", str(error))
        log.warning(
            "an action", action=action.action, action_id=action.action_id, state=outcome.state, words=outcome.words
        )
        self._tell(outcome)
        self._show()

    def again(self) -> None:
        """The endpoints may be others: one that is drained by its name stays so."""
        for endpoint in self.orders.drained if self._begun else ():
            self._drain_quietly(endpoint, True)

    def anew(self) -> None:
        """The topic begins again: what was in force is not any more."""
        if self._begun:
            for priority in self.orders.paused:
                self._worker.pause(priority, False)
            for endpoint in self.orders.drained:
                self._drain_quietly(endpoint, False)
        self.orders.clear()
        self._show()

    def _carry_out(self, action: Pause | Resume | Drain | Undrain) -> tuple[str, int]:
        if isinstance(action, Pause | Resume):
            paused = isinstance(action, Pause)
            classes = PRIORITIES if action.priority is None else (action.priority,)
            waiting = sum(self._worker.pause(priority, paused) for priority in classes)
            return f"{waiting} requests wait here", waiting
        calls = self._worker.drain(named(action.endpoint), isinstance(action, Drain))
        if isinstance(action, Undrain):  # an endpoint may be drained by another name of it, too
            for endpoint in self.orders.drained:
                self._drain_quietly(endpoint, True)
        return f"{calls} calls are under way to it from here", calls

    def _forget(self, action: Forget) -> None:
        """Before `begin` there is nothing to do: memory is empty, and the store reads the deletions before it is warm."""
        if not self._begun:
            return

        def tell(held: int) -> None:
            words = f"deletions are read; {held} more answers were in memory alone"
            self._tell(outcome_of(action.action_id, "forget", "done", words, held))

        try:
            self._worker.forget(action.owner, {int(number): end for number, end in action.entries_until.items()}, tell)
        except ValueError as error:
            self._tell(outcome_of(action.action_id, "forget", "failed", str(error)))

    def _drain_quietly(self, endpoint: str, draining: bool) -> None:
        try:
            self._worker.drain(endpoint, draining)
        except ValueError as error:
            log.warning("a drain names no endpoint of this worker", why=str(error))

    def _show(self) -> None:
        for priority in PRIORITIES:
            metrics.CLASS_PAUSED.labels(priority).set(priority in self.orders.paused)
