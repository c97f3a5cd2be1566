"""What waiting requests were held up by, and how long in all: for the trace of each. Pure.

Nothing is noted of a request while it waits. What holds requests up (a blocked route, an agent with all its calls under way, the
worker's own slots) counts its own time, by reason; a request keeps what those sums were when it began to wait, and the rest is a
difference. The reasons are those of `queue_states.py`, in its order: where several held at once, the first has the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.pipeline import PendingRequest
from streams.slots import Slots
from streams.trace.marks import Wait
from topics.names import PRIORITIES, Priority

_NOTHING: Final[Mapping[Wait, float]] = {}
_WORKER_CALLS: Final[Wait] = ("worker_calls", "")
_KEPT_FOR_HIGH: Final[Wait] = ("kept_for_high", "")
_ADMISSION_RATE: Final[Wait] = ("admission_rate", "")
_CLASS_PAUSED: Final[Wait] = ("class_paused", "")
_MEMBERSHIP: Final[Wait] = ("membership", "")
_TURN: Final[Wait] = ("turn", "")
_AGENT_OVER: Final[Wait] = ("agent_over", "")
_LEAST_S: Final = 0.001
"""A shorter rest is the loop's own time."""


class Standstill:
    """How long something gave nothing, by reason: sums since it was made. Seconds of a monotonic clock."""

    __slots__ = ("_since", "_sums", "_why")

    def __init__(self) -> None:
        self._why: Wait | None = None
        self._since = 0.0
        self._sums: dict[Wait, float] | None = None

    def set(self, why: Wait | None, now: float) -> None:
        """From now on it gives nothing for this reason; None: it gives."""
        if why == self._why:
            return
        if self._why is not None:
            if self._sums is None:
                self._sums = {}
            self._sums[self._why] = self._sums.get(self._why, 0.0) + now - self._since
        self._why, self._since = why, now

    def clear(self, why: Wait, now: float) -> None:
        """This is no reason any more; another one may be."""
        if self._why == why:
            self.set(None, now)

    def sums(self, now: float) -> Mapping[Wait, float]:
        """Seconds by reason, with what goes on; the caller's own."""
        if self._why is None:
            return _NOTHING if self._sums is None else self._sums.copy()
        sums = {} if self._sums is None else self._sums.copy()
        sums[self._why] = sums.get(self._why, 0.0) + now - self._since
        return sums


class HeldUp:
    """Of one worker. `slots` are its own; requests without marks are not noted."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._high = Standstill()
        self._others = Standstill()
        self._stopped: dict[Priority, Standstill] = {priority: Standstill() for priority in PRIORITIES}
        """Of the classes, as long as nothing of them goes whatever there is room for."""
        self._paused: set[Priority] = set()
        self._in_doubt = False
        self._waiting: dict[PendingRequest, _Waiting] = {}

    def look(self, now: float, *, in_doubt: bool, short_of_tokens: bool) -> None:
        """After a round of dispatches, and when a call has ended: whether the worker itself has room for more."""
        if in_doubt is not self._in_doubt:
            self._in_doubt = in_doubt
            self._note_stopped(now)
        slots = self._slots
        rate = _ADMISSION_RATE if short_of_tokens else None
        high = _WORKER_CALLS if slots.taken >= slots.size else rate
        others = high if high is _WORKER_CALLS else rate if slots.has_room("normal") else _KEPT_FOR_HIGH
        self._high.set(high, now)
        self._others.set(others, now)

    def pause(self, priority: Priority, paused: bool, now: float) -> None:
        """Somebody has paused the class, or resumed it."""
        (self._paused.add if paused else self._paused.discard)(priority)
        self._note_stopped(now)

    def _note_stopped(self, now: float) -> None:
        for priority, stopped in self._stopped.items():
            paused = _CLASS_PAUSED if priority in self._paused else None
            stopped.set(_MEMBERSHIP if self._in_doubt else paused, now)

    def begin(
        self, request: PendingRequest, agent: Standstill, lane: Standstill, now: float, tenant: Standstill | None = None
    ) -> None:
        """It stands in a turn from now on, of this agent on this lane; `tenant`: where that has limits."""
        if request.marks is not None:
            worker = self._high if request.priority == "high" else self._others
            stopped = self._stopped[request.priority]
            several = (stopped, agent, lane, worker) if tenant is None else (stopped, agent, tenant, lane, worker)
            self._waiting[request] = _Waiting(several, now)

    def hold(self, request: PendingRequest, why: Wait, now: float) -> None:
        """It stands in no turn yet, for a reason of its own."""
        if request.marks is not None:
            own = Standstill()
            own.set(why, now)
            self._waiting[request] = _Waiting((own,), now)

    def end(self, request: PendingRequest, now: float, *, agent_over: bool = False) -> None:
        """It stands there no more: its marks have what it waited for. Nothing where it was not noted."""
        waiting = self._waiting.pop(request, None)
        marks = request.marks
        if waiting is None or marks is None:
            return
        waits, left_s = marks.waits, now - waiting.since
        for standstill, before in waiting.watched:
            if left_s < _LEAST_S:
                return
            for why, seconds in standstill.sums(now).items():
                held_s = min(seconds - before.get(why, 0.0), left_s)
                if held_s > 0:
                    waits[why] = waits.get(why, 0.0) + held_s
                    left_s -= held_s
        if left_s >= _LEAST_S:
            why = _AGENT_OVER if agent_over else _TURN
            waits[why] = waits.get(why, 0.0) + left_s


class _Waiting:
    """What held up what one request waits for, when it began to."""

    __slots__ = ("since", "watched")

    def __init__(self, several: tuple[Standstill, ...], now: float) -> None:
        self.since = now
        self.watched = [(each, each.sums(now)) for each in several]
