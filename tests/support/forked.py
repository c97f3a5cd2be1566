"""Commands as processes that are waited for by threads: an exit code, signals and files for 50 ms of CPU each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.processes.fleet import clean_environment
from tests.support import zygote

_NOT_INHERITED = ("COLUMNS", "NO_COLOR")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, what it said, and how long it took."""

    code: int | None
    out: str
    err: str
    took_s: float


@dataclass(slots=True)
class Forked:
    """A command that runs."""

    process: zygote.Forked
    out: Path
    err: Path
    began: float

    def wait_said(self, words: str, within_s: float) -> bool:
        """Whether it has written these words, or ended, within so many seconds."""
        until = time.monotonic() + within_s
        while time.monotonic() < until and not self.process.ends_within(0.05):
            if words in _read(self.out) + _read(self.err):
                return True
        return words in _read(self.out) + _read(self.err)

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def interrupt(self) -> None:
        self.send_signal(signal.SIGINT)

    def end(self, within_s: float) -> Ended:
        """Wait for its end; one that is not over in time is killed, and has no code."""
        in_time = self.process.ends_within(within_s)
        took_s = time.monotonic() - self.began
        if not in_time:
            self.process.kill()
        code = self.process.wait()
        return Ended(code if in_time else None, _read(self.out), _read(self.err), took_s)


def start(
    arguments: Sequence[str],
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    stdout: int | None = None,
    module: str = "",
) -> Forked:
    """Start `headrace ARGUMENTS` in a folder of its own, without any HEADRACE_ variable but those given.

    `stdout` is a pipe's, in place of the file `out`; `module` is run as `python -m` does, in place of `headrace`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "out", folder / "err"
    env = {name: value for name, value in clean_environment().items() if name not in _NOT_INHERITED}
    with (
        Path(os.devnull).open("rb") as nothing,
        out.open("wb", buffering=0) as said,
        err.open("wb", buffering=0) as complained,
    ):
        files = (nothing.fileno(), said.fileno() if stdout is None else stdout, complained.fileno())
        process = zygote.ZYGOTE.fork(arguments, {**env, **(environ or {})}, files, folder, module)
    return Forked(process, out, err, time.monotonic())


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
