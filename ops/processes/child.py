"""A child process that never outlives us.

It lives in a session of its own, so that Ctrl-C in a terminal reaches us first and we end it in our order. When we end,
it is ended: by `stop()`, else at the exit of the interpreter, else (we were killed with -9) by Linux, which is asked to
kill the child when its parent *thread* dies (prctl(2), PR_SET_PDEATHSIG). The thread counts, not the process: a child
started on a pool thread would die with that thread, so each child has a thread that starts it and waits for its end.
"""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_TAIL_LINES = 5


class ChildProcess:
    """Runs `command` with its output in `log_file`.

    Raises:
        OSError: the command cannot be run.
    """

    def __init__(self, command: Sequence[str], log_file: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._log_file = log_file
        self._env = env
        self._started = threading.Event()
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes]  # set by the thread, unless _fault is
        self._fault: OSError | None = None
        threading.Thread(target=self._run, name=f"child {self._command[0]}", daemon=True).start()
        self._started.wait()
        if self._fault is not None:
            raise self._fault
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -9 for one that was killed with signal 9."""
        return self._process.returncode if self._ended.is_set() else None

    def send_signal(self, number: int) -> None:
        """Send it a signal; one that has ended is left alone."""
        if self.alive():
            self._process.send_signal(number)

    def log_text(self) -> str:
        """Its log file as a whole."""
        return self._log_file.read_text(errors="replace")

    def last_words(self) -> str:
        """The end of its log on one line, for an error message."""
        lines = self.log_text().strip().splitlines()
        return " | ".join(line.strip() for line in lines[-_TAIL_LINES:]) or "it said nothing"

    def stop(self, deadline_s: float = 10.0) -> None:
        """SIGTERM (after SIGCONT, so that a stopped child hears it), then SIGKILL after `deadline_s` seconds."""
        atexit.unregister(self.stop)
        if self.alive():
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        if not self._ended.wait(deadline_s):
            self._process.kill()
            self._ended.wait()

    def _run(self) -> None:
        try:
            with self._log_file.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),
                )
        except OSError as error:
            self._fault = error
            self._ended.set()
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    """What the child runs between fork and exec; all it needs is loaded before the fork."""
    if _LIBC is None:
        return None
    prctl = _LIBC.prctl

    def ask_linux() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died between fork and prctl: nobody would tell us
            os._exit(1)

    return ask_linux
