"""Compile the tests once: `python -m tests.support.compiled`, before several processes of pytest start.

Each of them would rewrite the assertions of every test file for itself, all at the same time: 12 s of CPU, five times in a fresh
clone. pytest keeps what it has rewritten beside the files; what is kept already is left alone.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def stale(files: list[Path]) -> list[Path]:
    """Those that pytest has not rewritten since they changed."""
    tag = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}"
    kept = {file: Path(importlib.util.cache_from_source(str(file))).parent / f"{file.stem}.{tag}.pyc" for file in files}
    return [file for file, made in kept.items() if not made.exists() or made.stat().st_mtime < file.stat().st_mtime]


def compile_all(files: list[Path], processes: int) -> None:
    """Collect the files, a part of them in each process. What does not compile is told by the run that follows."""
    parts = [part for n in range(processes) if (part := files[n::processes])]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:xdist"]
    running = [subprocess.Popen([*command, *map(str, part)], stdout=subprocess.DEVNULL) for part in parts]
    for each in running:
        each.wait()


if __name__ == "__main__":
    compile_all(stale(sorted(TESTS.rglob("test_*.py"))), os.cpu_count() or 1)
