"""How the command is called in the shell that has called it: `make demo` runs it from an environment that is not active."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def command_name() -> str:
    """`headrace` where the shell finds that, else the path by which it was called."""
    called = Path(sys.argv[0])
    if shutil.which("headrace") or called.name != "headrace":
        return "headrace"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)
