"""The root of errors that end a command. What travels on the wire as an error has types of its own (schemas/response.py)."""

from __future__ import annotations

from typing import ClassVar


class HeadraceError(Exception):
    """What ends a command: `str()` is one line that says what is wrong and what to do, `exit_code` what a script sees."""

    exit_code: ClassVar[int] = 2
    """2: it could not start. 1: it ran, and something went wrong."""
