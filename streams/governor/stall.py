"""An event loop that stands still: seen by a thread, reported once with the loop's stack.

The loop beats; the thread looks. A loop that has not beaten for `after_s` is stuck in what its stack shows. Where the thread
itself did not get to look for so long, the whole process stood still (it was stopped, or a C call kept the interpreter's lock):
that says nothing about the loop's code, and it is recognized.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from streams.metrics import definitions as metrics
from streams.supervise import fault

log = structlog.get_logger("headrace.governor")

_DEEPEST = 40  # frames shown: the innermost ones

Verdict = Literal["stuck", "again", "stood still"]


@dataclass(slots=True)
class StallDetector:
    """Pure part: tells the begin and the end of a stall, each once. Times are seconds of one clock that does not go back."""

    after_s: float
    looked_at: float
    stuck_since: float | None = None

    def look(self, beat_at: float, now: float) -> Verdict | None:
        """`beat_at` is the loop's last beat. None: nothing new."""
        since_look, self.looked_at = now - self.looked_at, now
        if self.stuck_since is not None:
            if beat_at > self.stuck_since:
                self.stuck_since = None
                return "again"
            return None
        if since_look >= self.after_s:
            return "stood still"
        if now - beat_at >= self.after_s and now - beat_at < float("inf"):
            self.stuck_since = beat_at
            return "stuck"
        return None


class StallWatch:
    """Watches the loop of the thread that makes it, between `start` and `stop`. `beat` is the loop's sign of life."""

    def __init__(self, after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._after_s = after_s
        self._clock = clock
        self._loop_thread = threading.get_ident()
        self._beat_at = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        self._beat_at = self._clock()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        detector = StallDetector(self._after_s, self._clock())
        while not self._stopping.wait(self._after_s / 4):
            try:
                self._look(detector)
            except Exception as error:  # a thread that ends takes the watch with it
                fault("stall_watch", error, "the event loop could not be looked at")

    def _look(self, detector: StallDetector) -> None:
        beat_at, now = self._beat_at, self._clock()
        stuck_since = detector.stuck_since
        verdict = detector.look(beat_at, now)
        if verdict == "stuck":
            metrics.LOOP_STALLS.inc()
            log.error("the event loop is stuck", stuck_s=round(now - beat_at, 2), stack=self._stack())
        elif verdict == "again" and stuck_since is not None:
            log.warning("the event loop turns again", stuck_s=round(beat_at - stuck_since, 2))
        elif verdict == "stood still":
            log.warning("the whole process stood still: stopped, or starved of CPU", after_s=self._after_s)

    def _stack(self) -> str:
        """Where the loop is, innermost frame last."""
        frame = sys._current_frames().get(self._loop_thread)
        return "".join(traceback.format_stack(frame)[-_DEEPEST:]) if frame else "the loop's thread is gone"
