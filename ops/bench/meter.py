"""A stop watch in the process that is measured: from its first record to its last ack."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Final

import orjson
import psutil

RESULT: Final = "RESULT "
"""Begins the line on which a process says its figures."""

WARM: Final = "WARM"
SENT: Final = "SENT"
"""Said by a load when its warm-up is over, and when its last request is on its way."""


class Meter:
    """Counts one process's time and CPU. `begin` may be called again; the first call counts."""

    def __init__(self) -> None:
        self.began_at: float | None = None
        self._cpu_s = 0.0

    def begin(self) -> None:
        """The first record is there."""
        if self.began_at is None:
            self.began_at, self._cpu_s = time.time(), time.process_time()

    def figures(self, records: int, ended_at: float | None = None) -> dict[str, Any]:
        """Rate and CPU up to now, or up to `ended_at` (Unix time); the CPU is always up to now."""
        began_at, ended_at = self.began_at or time.time(), ended_at or time.time()
        cpu_s = time.process_time() - self._cpu_s
        return {
            "records": records,
            "began_at": began_at,
            "ended_at": ended_at,
            "rate": round(records / max(1e-9, ended_at - began_at), 1),
            "cpu_us": round(cpu_s / max(1, records) * 1e6, 2),
            "cpu_cores": round(cpu_s / max(1e-9, ended_at - began_at), 2),
        }

    def end(self, records: int) -> None:
        """The last ack is there: say the figures."""
        say_result(self.figures(records))


class Idle:
    """How much of all cores of the machine is idle, whoever uses them."""

    def __init__(self) -> None:
        self._began = psutil.cpu_times()

    def idle(self) -> float:
        """The share since it was made, 0 to 1."""
        now = psutil.cpu_times()
        spent = [after - before for before, after in zip(self._began, now, strict=True)]
        idle = now.idle - self._began.idle + getattr(now, "iowait", 0.0) - getattr(self._began, "iowait", 0.0)
        return float(idle / max(1e-9, sum(spent)))


def say_result(figures: dict[str, Any]) -> None:
    """Print the figures on one line, for the process that started this one."""
    sys.stdout.write(f"\n{RESULT}{orjson.dumps(figures).decode()}\n")
    sys.stdout.flush()


def say_mark(mark: str) -> None:
    """Print a line with nothing but this, for the process that started this one."""
    sys.stdout.write(f"\n{mark}\n")
    sys.stdout.flush()


def leave() -> None:
    """End at once: a framework's orderly end is not measured, and some take half a minute."""
    os._exit(0)
