"""Run a process that does its work, says its figures and ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import orjson

from ops.bench.meter import RESULT
from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment
from streams.errors import HeadraceError

_LOOK_EVERY_S: Final = 0.05
ROOT: Final = Path(__file__).parents[2]
"""Where the packages are; a peer's interpreter finds the shared work here."""


class BenchError(HeadraceError):
    """Why something cannot be measured: one line."""


class Run:
    """A program in a process of its own, its log in the folder. `environment` comes on top of the machine's."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = folder / f"{name}.log"
        self._from = self._log.stat().st_size if self._log.exists() else 0
        extra = {"TMPDIR": str(folder), **(environment or {})}  # some leave their stores behind
        self.child = ChildProcess(list(command), self._log, clean_environment(extra))

    @classmethod
    def of_module(
        cls, folder: Path, name: str, module: str, arguments: Sequence[str], python: Path | None = None
    ) -> Self:
        """Run a module of ours. `python` is the interpreter: ours, or one of a peer's."""
        environment = {"PYTHONUNBUFFERED": "1", **({"PYTHONPATH": str(ROOT)} if python is not None else {})}
        return cls(folder, name, [str(python or sys.executable), "-m", module, *arguments], environment)

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
