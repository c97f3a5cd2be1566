"""Workers as child processes: started, watched by their log, killed, replaced, and always ended.

For the demo, for tests of faults and for benchmarks. Each worker is a real `headrace worker` with a log file of its own;
it ends with this process at the latest, even when this one is killed with -9 (on Linux).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from ops.processes.child import ChildProcess
from streams.errors import HeadraceError

_LOOK_EVERY_S: Final = 0.05
_LAST_LINES: Final = 3
_STOP_DEADLINE_S: Final = 15.0
"""Longer than the default drain deadline, so that a worker that drains is not killed in it."""

_SET_FOR_ALL: Final = {
    "HEADRACE_HTTP__LISTEN": "127.0.0.1:0",
    "HEADRACE_LOGGING__FORMAT": "json",
    "HEADRACE_LOGGING__LEVEL": "info",
}


class WorkerError(HeadraceError):
    """A worker did not start; the message ends with the last lines of its log."""


def headrace_command(*arguments: str) -> list[str]:
    """The command line of `headrace …` in this interpreter.

    -P: a folder named `schemas` or `ops` where the command is started is not taken for ours.
    """
    return [sys.executable, "-P", "-m", "ops.cli", *arguments]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without HEADRACE_ variables, so that a settings file alone decides, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**kept, **(extra or {})}


class WorkerProcess:
    """One `headrace worker`, or another command that logs `ready`, started at once.

    Args:
        name: for people.
        settings_file: what the worker is given; HEADRACE_ variables of this process do not reach it. None: it is given none.
        log_file: where its output goes, appended.
        env: further variables, HEADRACE_ ones among them. Its HTTP address is a free port of loopback, its log JSON at
            `info`, unless they say otherwise; `ready` needs both.
        command: of `headrace`.
    """

    def __init__(
        self,
        name: str,
        settings_file: Path | None,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        command: str = "worker",
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._from = log_file.stat().st_size if log_file.exists() else 0
        self._ready: Mapping[str, Any] | None = None
        self._child = ChildProcess(
            headrace_command(command, *(["--settings", str(settings_file)] if settings_file is not None else [])),
            log_file,
            clean_environment({**_SET_FOR_ALL, **(env or {})}),
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -9 after `kill`."""
        return self._child.exit_code

    @property
    def ready_line(self) -> Mapping[str, Any]:
        """What it logged as `ready`; empty until it has."""
        return self._ready or {}

    @property
    def http(self) -> str | None:
        """HOST:PORT of /healthz, /readyz and /metrics, once `wait_ready` has returned."""
        return str(self._ready["http"]) if self._ready else None

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait for its log line `ready`: partitions are assigned.

        Raises WorkerError if it ends before that or `timeout_s` seconds pass.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._ready is None:
                    ended = not self.alive  # asked before the log is read, or its last line might be missed
                    if not self.is_ready() and ended:
                        raise WorkerError(f"worker {self.name} ended with {self.exit_code}: {self.last_words()}")
                    if self._ready is None:
                        await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            said = self.last_words()
            raise WorkerError(f"worker {self.name} was not ready within {timeout_s:.0f} s: {said}") from None

    def is_ready(self) -> bool:
        """Whether it has logged `ready`."""
        self._ready = self._ready or self._find_ready()
        return self._ready is not None

    def last_words(self) -> str:
        """The end of its log on one line, for an error message."""
        lines = self.log_text().strip().splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or "it said nothing"

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send any signal; a worker that has ended is left alone."""
        self._child.send_signal(number)

    async def wait_ended(self, timeout_s: float) -> bool:
        """Wait for its end; False if that takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.alive:  # noqa: ASYNC110 - a thread watches the child, and knows no loop
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            return False
        return True

    async def stop(self, deadline_s: float = _STOP_DEADLINE_S) -> int | None:
        """SIGTERM, and SIGKILL after `deadline_s` seconds; its exit code."""
        await asyncio.to_thread(self._child.stop, deadline_s)
        return self.exit_code

    def log_text(self) -> str:
        """What it has written since it was started."""
        with self.log_file.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def _find_ready(self) -> Mapping[str, Any] | None:
        for line in self.log_text().splitlines():
            if '"ready"' not in line:
                continue
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:  # half a line: the rest comes with the next look
                continue
            if event.get("event") == "ready":
                return dict(event)
        return None


class Fleet:
    """Workers w0, w1, … with one settings file; all of them are ended with the block.

    >>> async with Fleet(settings_file, log_dir) as fleet:              # doctest: +SKIP
    ...     await fleet.start(2)
    ...     fleet.workers[0].kill()
    ...     await fleet.replace(fleet.workers[0])
    """

    def __init__(self, settings_file: Path, log_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.workers: list[WorkerProcess] = []
        self._settings_file = settings_file
        self._log_dir = log_dir
        self._env = env
        self._started = 0

    async def start(self, count: int, *, ready_within_s: float | None = 60.0) -> list[WorkerProcess]:
        """Start `count` more and wait until they are ready; None does not wait. Raises WorkerError."""
        started = [self._launch() for _ in range(count)]
        self.workers += started
        await self._wait_ready(started, ready_within_s)
        return started

    async def replace(self, worker: WorkerProcess, *, ready_within_s: float | None = 60.0) -> WorkerProcess:
        """Start a new worker in the place of one, which is killed if it still runs. Raises WorkerError."""
        place = self.workers.index(worker)
        worker.kill()
        self.workers[place] = new = self._launch()
        await self._wait_ready([new], ready_within_s)
        return new

    async def stop(self, deadline_s: float = _STOP_DEADLINE_S) -> None:
        """Stop all of them at the same time: SIGTERM, and SIGKILL after `deadline_s` seconds."""
        await asyncio.gather(*(worker.stop(deadline_s) for worker in self.workers))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _launch(self) -> WorkerProcess:
        """Every process has a name and a log of its own: a replacement is not the worker it replaces."""
        name = f"w{self._started}"
        self._started += 1
        return WorkerProcess(name, self._settings_file, self._log_dir / f"{name}.log", self._env)

    @staticmethod
    async def _wait_ready(workers: list[WorkerProcess], within_s: float | None) -> None:
        if within_s is not None:
            await asyncio.gather(*(worker.wait_ready(within_s) for worker in workers))
