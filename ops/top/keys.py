"""What was typed, and what that makes of the view. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

View = Literal["overview", "queues"]
VIEWS: Final[tuple[View, ...]] = ("overview", "queues")

_NAMED: Final = {
    b"\t": "next", b"\x1b[C": "next", b"\x1bOC": "next", b"l": "next",
    b"\x1b[Z": "previous", b"\x1b[D": "previous", b"\x1bOD": "previous", b"h": "previous",
    b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down",
    b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up",
    b"\x1b[6~": "page down", b" ": "page down", b"\x1b[5~": "page up",
    b"q": "quit", b"Q": "quit", b"\x04": "quit",
    b"p": "pause", b"?": "help", b"\x0c": "redraw", b"1": "overview", b"2": "queues",
}  # fmt: skip
# ESC [ parameters, a letter; ESC O and a letter; what is neither is one key (https://invisible-island.net/xterm/ctlseqs).
# Escape by itself is none: its byte may be the first of an arrow that comes later. A sequence that is not known is swallowed as a
# whole, so that its letters are no keys.
_KEY: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[@-~]|\x1b|[^\x1b]", re.DOTALL)
_BEGUN: Final = re.compile(rb"\x1b(\[[0-?]*[ -/]*|O)?\Z")
_MOST_BEGUN: Final = 32


class Keys:
    """Bytes in, names of keys out. A sequence that arrives in two parts is one key."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, typed: bytes) -> list[str]:
        """
        >>> keys = Keys()
        >>> keys.feed(b"p\\x1b["), keys.feed(b"C"), keys.feed(b"\\x1b[200~q")
        (['pause'], ['next'], ['quit'])
        """
        typed, self._begun = self._begun + typed, b""
        begun = _BEGUN.search(typed)
        if begun is not None and len(begun[0]) <= _MOST_BEGUN:
            typed, self._begun = typed[: begun.start()], begun[0]
        return [name for each in _KEY.findall(typed) if (name := _NAMED.get(each)) is not None]


@dataclass(frozen=True, slots=True)
class Looking:
    """Which view is shown, from which line on; `paused`: the picture stands still."""

    view: View = "overview"
    top: int = 0
    paused: bool = False
    help: bool = False
    quit: bool = False

    def after(self, key: str, rows: int, lines: int) -> Looking:
        """What a key makes of it. `rows` of `lines` are seen at a time."""
        if key == "quit":
            return replace(self, quit=True)
        if key == "help":
            return replace(self, help=not self.help, top=0)
        if key == "pause":
            return replace(self, paused=not self.paused)
        if key in ("next", "previous", *VIEWS):
            step = {"next": 1, "previous": -1}.get(key)
            view = VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)] if step else VIEWS[VIEWS.index(key)]
            return replace(self, view=view, top=0, help=False)
        moved = {"down": 1, "up": -1, "page down": rows, "page up": -rows}.get(key, 0)
        return self.scrolled(self.top + moved, rows, lines)

    def scrolled(self, top: int, rows: int, lines: int) -> Looking:
        """From this line on, as far as there are so many."""
        return replace(self, top=max(0, min(top, lines - rows)))
