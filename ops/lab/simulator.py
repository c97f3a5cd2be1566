"""A provider simulator in a process of its own, with its switches and its book."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from ops.lab.book import Call, Limit, read_calls
from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment, headrace_command

_SAYS: Final = re.compile(r"listens on (http://\S+/v1)\n.* are at (http://\S+)\n", re.DOTALL)
_START_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.05
_ADMIN_TIMEOUT_S: Final = 10.0


class SimulatedProvider:
    """Runs `headrace provider-sim` inside an `async with` block.

    Raises RuntimeError (at entering) where it does not start.
    """

    def __init__(self, name: str, folder: Path, limit: Limit | None) -> None:
        self.name = name
        self.limit = limit
        self.url = ""
        self._admin = ""
        self._log = folder / f"provider-{name}.log"
        self._ledger = folder / f"calls-{name}.jsonl"

    async def __aenter__(self) -> Self:
        command = headrace_command("provider-sim", "--port", "0", "--ledger", str(self._ledger))
        self.child = ChildProcess(command, self._log, clean_environment())
        try:
            async with asyncio.timeout(_START_S):
                while (found := _SAYS.search(self.child.log_text())) is None:
                    if not self.child.alive():
                        raise RuntimeError(f"provider {self.name} did not start: {self.child.last_words()}")
                    await asyncio.sleep(_LOOK_EVERY_S)
            self.url, self._admin = found[1], found[2]
            if self.limit is not None:
                await self.set(
                    limit="sliding_window",
                    limit_requests=self.limit.requests,
                    limit_tokens=1_000_000_000,
                    limit_window_s=self.limit.window_s,
                )
        except BaseException:
            await asyncio.to_thread(self.child.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.child.stop)

    async def set(self, **settings: object) -> None:
        """Change its settings (`SimSettings`)."""
        await asyncio.to_thread(self._post, orjson.dumps(settings))

    def _post(self, body: bytes) -> None:
        with urllib.request.urlopen(f"{self._admin}/config", body, timeout=_ADMIN_TIMEOUT_S) as answer:  # noqa: S310
            answer.read()

    def calls(self) -> list[Call]:
        """Its book up to now."""
        whole, _, _ = self._ledger.read_bytes().rpartition(b"\n")  # the last line may be half written
        lines: list[dict[str, Any]] = [orjson.loads(line) for line in whole.split(b"\n") if line]
        return read_calls(self.name, lines)
