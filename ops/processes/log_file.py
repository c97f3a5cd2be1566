"""The file that stderr was sent to, opened anew on SIGHUP where somebody has moved it away (logrotate)."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path


def reopening() -> Callable[[], None]:
    """What opens the log file anew if it was moved or removed since now. Nothing where stderr is no file, or not on Linux."""
    try:
        number = sys.stderr.fileno()
        path = Path(f"/proc/self/fd/{number}").readlink()
        is_file = stat.S_ISREG(os.fstat(number).st_mode)
    except (OSError, ValueError):
        return lambda: None
    if not is_file:
        return lambda: None
    also_stdout = _same(number, 1)

    def reopen() -> None:
        try:
            if path.exists() and os.path.samestat(path.stat(), os.fstat(number)):
                return
            new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return  # its folder is gone: what was open goes on
        os.dup2(new, number)
        if also_stdout:
            os.dup2(new, 1)
        os.close(new)

    return reopen


def _same(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
