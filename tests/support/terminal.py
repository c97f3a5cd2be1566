"""A program on a terminal of its own: what it draws, what is typed at it, and how it leaves the terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from typing import Any, Final

from ops.processes.fleet import clean_environment

_ESCAPES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"


def _hears_ctrl_c() -> None:
    """As in a shell's foreground, also where the tests are a background job, in which SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class OnATerminal:
    """Runs a command as a shell's foreground job would run. `columns` and `rows` of its window."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, **environment: str) -> None:
        self.drawn = ""
        """All that was written, escape sequences among it."""
        self.gone = False
        self._ours, self._its = pty.openpty()
        self.resize(columns, rows, tell=False)
        self.before = termios.tcgetattr(self._its)
        env = clean_environment({"TERM": "xterm-256color", **environment})
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            env=env,
            preexec_fn=_hears_ctrl_c,
        )
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        """The window is another size, and the program is told as a terminal tells it."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.send(signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def mode(self) -> list[Any]:
        """The terminal's, as tcgetattr tells it."""
        return termios.tcgetattr(self._its)

    def picture(self) -> str:
        """The newest picture, without escapes."""
        return _ESCAPES.sub("", self.drawn.rpartition("\x1b[H")[2])

    async def shows(self, words: str, within_s: float = 60) -> str:
        """The picture, once these words are in it."""
        try:
            async with asyncio.timeout(within_s):
                while words not in self.picture() or not self.drawn.endswith("\x1b[J"):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{words!r} is not in {self.drawn[-3000:]!r}") from None
        return self.picture()

    async def ended(self, within_s: float = 60) -> int:
        """Its exit code; negative: the signal that killed it."""
        code = await asyncio.to_thread(self._process.wait, within_s)
        await asyncio.sleep(0)
        self._read()
        return code

    def hang_up(self) -> None:
        """The window is closed."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._its)
        os.close(self._ours)
        self.gone = True

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if not self.gone:
            self.hang_up()

    def _read(self) -> None:
        try:
            while more := os.read(self._ours, 65_536):
                self.drawn += more.decode("utf-8", "replace")
        except OSError:
            return
