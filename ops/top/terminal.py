"""The whole screen of a terminal: taken, drawn on, and given back as it was, however the program ends.

What is drawn goes over what was there, line by line and in one write: nothing flickers, and a screen that is cleared between two
pictures is never seen. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from ops.top.lines import Line, Style

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_SGR: Final[dict[Style, str]] = {
    "head": "\x1b[4m", "bold": "\x1b[1m", "dim": "\x1b[2m",
    "calm": "\x1b[32m", "watch": "\x1b[33m", "act": "\x1b[31m",
}  # fmt: skip
_COLOURS: Final[frozenset[Style]] = frozenset({"calm", "watch", "act"})
_IFLAG, _LFLAG, _CC = 0, 3, 6
"""Places in what tcgetattr gives."""


def is_there() -> bool:
    """Whether there is a terminal to draw on and to type at."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def has_colour() -> bool:
    """https://no-color.org"""
    return not os.environ.get("NO_COLOR")


class Terminal:
    """Use it as a context. `size` gives columns and rows, asked for anew at each picture."""

    def __init__(self) -> None:
        self.input, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[Any] = []
        self._colour = has_colour()

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self.input)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 and 24 where the terminal does not tell."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    def read(self) -> bytes:
        """What was typed; empty once the terminal has gone."""
        try:
            return os.read(self.input, 1024)
        except OSError:
            return b""

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines, from the first row on. Raises OSError where the terminal has gone."""
        drawn = "\r\n".join(f"{self._styled(each)}\x1b[K" for each in lines)
        self._write(f"\x1b[H{drawn}\x1b[J")

    def stand_aside(self, redraw: Callable[[], None]) -> None:
        """Ctrl-Z: the shell has the terminal as it was until it gives it back."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        redraw()

    def _take(self) -> None:
        mode = termios.tcgetattr(self.input)
        os.set_blocking(self._out, True)  # a program before us may have left it otherwise
        mode[_IFLAG] &= ~(termios.IXON | termios.ICRNL)  # Ctrl-S would stop the program at its next write
        mode[_LFLAG] &= ~(termios.ECHO | termios.ICANON)  # Ctrl-C and Ctrl-Z stay signals
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self.input, termios.TCSADRAIN, mode)
        self._write(_ENTER)

    def _give_back(self) -> None:
        try:
            self._write(_LEAVE)
            termios.tcsetattr(self.input, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):
            return  # it has gone: there is nothing to give back

    def _write(self, text: str) -> None:
        left = text.encode("utf-8", "replace")
        while left:
            left = left[os.write(self._out, left) :]

    def _styled(self, line: Line) -> str:
        begin = _SGR.get(line.style)
        if begin is None or (line.style in _COLOURS and not self._colour):
            return line.text
        return f"{begin}{line.text}\x1b[0m"
