"""An event loop whose clock jumps: where a real loop would wait, this one sets its clock on.

Everything asyncio runs on it unchanged, and an hour of waits takes as long as its work. For code without I/O: nothing from
outside can wake it while it "sleeps".
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _NothingComes(selectors.SelectSelector):
    """Waits by telling the loop how long it would have waited."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self.skipped_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 0 and passes only while everybody waits."""

    def __init__(self) -> None:
        self._nothing = _NothingComes()
        super().__init__(self._nothing)

    def time(self) -> float:
        return self._nothing.skipped_s


def run_virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end on a clock of its own, from 0 on: `asyncio.get_running_loop().time()`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
