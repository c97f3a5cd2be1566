"""Where a page ends and the next one begins: behind one request, in the order of time and place. Pure.

Requests that come in meanwhile are newer than every cursor that was given out: so no page shows a request twice, and none is left
out that was there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(r"[0-9a-f]{28}", re.ASCII).fullmatch


class CursorError(ValueError):
    """A text that is no cursor."""


class Cursor(NamedTuple):
    """The last request that was looked at. Cursors are in the order of time."""

    time_ms: int
    place: int

    def __str__(self) -> str:
        """As it stands in a URL.

        >>> str(Cursor(1_700_000_000_000, 7)), read_cursor(str(Cursor(1_700_000_000_000, 7)))
        ('018bcfe568000000000000000007', Cursor(time_ms=1700000000000, place=7))
        """
        return f"{self.time_ms:012x}{self.place:016x}"


def read_cursor(text: str) -> Cursor:
    """The cursor of a URL. Raises CursorError."""
    if _TEXT(text) is None:
        raise CursorError("this is no cursor: begin with the first page")
    return Cursor(int(text[:12], 16), int(text[12:], 16))
