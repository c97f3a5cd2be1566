"""The log files of supervised processes: none grows without bound, and those of processes long gone are removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 50_000_000
"""Of one file; what was before is in FILE.1."""
MOST_FILES: Final = 40
"""Of processes that are gone."""


def bound_logs(
    folder: Path, in_use: Collection[Path], most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES
) -> None:
    """Cut files that have grown too large, and remove the oldest of those that nobody writes to.

    The processes hold their files open for appending, so a file is copied and emptied, never moved: lines that come between
    the two are lost.
    """
    found = {path: path.stat() for path in folder.glob("*.log*")}
    for path, stat in found.items():
        if path.suffix == ".log" and stat.st_size > most_bytes:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)
    used = {name for path in in_use for name in (path, path.with_name(f"{path.name}.1"))}
    idle = sorted((path for path in found if path not in used), key=lambda path: found[path].st_mtime)
    for path in idle[: max(0, len(idle) - most_files)]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
