"""Run a process that does its work, says its figures and ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from ops.bench.meter import RESULT
from ops.fleet import clean_environment
from ops.process import ChildProcess

_LOOK_EVERY_S: Final = 0.05
ROOT: Final = Path(__file__).parents[2]
"""Where the packages are; a peer's interpreter finds the shared work here."""


class BenchError(Exception):
    """Why something cannot be measured: one line."""


class Run:
    """A module of ours in a process of its own. `python` is the interpreter: ours, or one of a peer's."""

    def __init__(
        self, folder: Path, name: str, module: str, arguments: Sequence[str], python: Path | None = None
    ) -> None:
        self._log = folder / f"{name}.log"
        self._from = self._log.stat().st_size if self._log.exists() else 0
        extra: Mapping[str, str] = {"PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}  # some leave their stores behind
        if python is not None:
            extra = {**extra, "PYTHONPATH": str(ROOT)}
        command = [str(python or sys.executable), "-m", module, *arguments]
        self.child = ChildProcess(command, self._log, clean_environment(extra))

    async def wait_for(self, text: str, timeout_s: float) -> str:
        """The rest of the first line with this text in its log. BenchError if it does not come."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    alive = self.child.alive()
                    _, found, rest = self._said().partition(text)
                    if found and "\n" in rest:
                        return rest.partition("\n")[0]
                    if not alive:
                        raise BenchError(f"it ended with {self.child.exit_code}: {self.child.last_words()}")
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise BenchError(f"nothing came of it in {timeout_s:.0f} s: {self.child.last_words()}") from None

    async def result(self, timeout_s: float) -> dict[str, Any]:
        """Its figures, once it has ended. BenchError if there are none in time; the process is ended then."""
        try:
            figures: dict[str, Any] = orjson.loads(await self.wait_for(RESULT, timeout_s))
            return figures
        finally:
            await self.stop()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        await asyncio.to_thread(self.child.stop)

    def _said(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")
