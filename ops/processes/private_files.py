"""Files that the process makes are for its user alone: prompts and answers are in them."""

from __future__ import annotations

import os
from typing import Final

_OWNER_ALONE: Final = 0o077


def keep_files_private() -> None:
    """From now on, whatever this process and those that it starts make (umask)."""
    os.umask(_OWNER_ALONE)
