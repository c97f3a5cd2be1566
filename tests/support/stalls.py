"""Run a command on a machine that stands still now and then, as shared machines do: all its processes stop for seconds.

    python -m tests.support.stalls --every 20 --seconds 3 -- make test

Everything of the command stops at once and goes on as if nothing had been, but clocks have moved on: a test that fails
here takes a wait for an event. Needs root, for control groups (version 1 or 2; the freezer's documentation is
Documentation/admin-guide/cgroup-v2.rst of Linux).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_V1: Final = Path("/sys/fs/cgroup/freezer")
_V2: Final = Path("/sys/fs/cgroup")


class Freezer:
    """A control group that this process's children begin in."""

    def __init__(self) -> None:
        self._v1 = _V1.is_dir()
        self._group = (_V1 if self._v1 else _V2) / f"headrace-stalls-{os.getpid()}"
        self._group.mkdir()

    def join(self) -> None:
        """Puts the calling process in."""
        (self._group / "cgroup.procs").write_text(str(os.getpid()))

    def freeze(self, still: bool) -> None:
        """Stops everything in the group, or lets it go on."""
        if self._v1:
            (self._group / "freezer.state").write_text("FROZEN" if still else "THAWED")
        else:
            (self._group / "cgroup.freeze").write_text("1" if still else "0")

    def close(self) -> None:
        self.freeze(False)
        try:
            self._group.rmdir()
        except OSError:
            outlived = (self._group / "cgroup.procs").read_text().split()
            sys.stderr.write(f"these processes outlived the command: {' '.join(outlived)}\n")


@contextmanager
def _freezer() -> Iterator[Freezer]:
    freezer = Freezer()
    try:
        yield freezer
    finally:
        freezer.close()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.stalls", description=__doc__)
    parser.add_argument("--every", type=float, default=20.0, help="mean seconds between two stalls")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is")
    parser.add_argument("--seed", type=int, default=1, help="of the times between stalls")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with _freezer() as freezer:
        process = subprocess.Popen(options.command, preexec_fn=freezer.join)
        while not _wait(process, draw.uniform(0.5, 1.5) * options.every):
            freezer.freeze(True)
            ended = _wait(process, options.seconds)
            freezer.freeze(False)
            if ended:
                break
        return process.returncode


if __name__ == "__main__":
    sys.exit(main())
