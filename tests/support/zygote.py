"""Commands of `headrace` as processes forked from one that has imported everything.

A worker takes 2 s of CPU to import what it needs, and a run of the tests starts hundreds of processes: that was two fifths of its
time. What is forked is a process as any other, with a pid, signals, an environment and a log file of its own; only the imports
are done. What measures (marker `alone`) starts its processes the long way, and so does whatever changes what is
imported or how (`LD_PRELOAD`, `PYTHON…`). TEST_FORK=0 switches it off.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Final
from unittest import mock

from ops.processes import child
from ops.processes.fleet import headrace_command

_THE_LONG_WAY: Final = subprocess.Popen
OURS: Final = headrace_command()
_KEPT: Final = ("PYTHON", "LD_", "FAKETIME")
"""Variables that the interpreter, or the loader, reads before anything of ours."""


class Forked:
    """What its users need of `subprocess.Popen`."""

    def __init__(self, pid: int, status: IO[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def fileno(self) -> int:
        """Of what can be read once it has ended; -1 when that was told."""
        return -1 if self._status.closed else self._status.fileno()

    def wait(self) -> int:
        """Its exit code, when it has ended; as `subprocess` says it."""
        if self.returncode is None:
            with self._status as status:
                self.returncode = os.waitstatus_to_exitcode(int(status.readline() or signal.SIGKILL))
        return self.returncode

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        return self.returncode is not None or bool(select.select([self], [], [], max(0.0, seconds))[0])

    def send_signal(self, number: int) -> None:
        """Nothing, once it has ended: its parent does not let go of its pid before it has told its end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that forks, started when it is first needed; it ends with this one, and what it forked with it."""

    def __init__(self) -> None:
        self.off = os.environ.get("TEST_FORK") == "0" or sys.platform != "linux"
        self._lock = threading.Lock()
        self._calls: socket.socket | None = None

    def popen(self, command: Sequence[str], **options: Any) -> Any:
        """In place of `subprocess.Popen`, for ChildProcess."""
        env = dict(os.environ if options["env"] is None else options["env"])
        if not self.takes(command, env):
            return _THE_LONG_WAY(command, **options)
        log = options["stdout"].fileno()
        with Path(os.devnull).open("rb") as nothing:
            return self.fork(command[len(OURS) :], env, (nothing.fileno(), log, log))

    def takes(self, command: Sequence[str], env: Mapping[str, str]) -> bool:
        """Whether this command in this environment may be forked."""
        return not self.off and list(command[: len(OURS)]) == OURS and _early(env) == _early(os.environ)

    def fork(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        files: tuple[int, int, int],
        cwd: Path | None = None,
        module: str = "",
    ) -> Forked:
        """`headrace ARGUMENTS`, or `python -m module ARGUMENTS`, with these files as stdin, stdout and stderr."""
        reading, writing = os.pipe()
        try:
            with self._lock:
                if self._calls is None:
                    self._calls = _start()
                request = {
                    "arguments": list(arguments),
                    "env": dict(env),
                    "cwd": str(cwd or Path.cwd()),
                    "module": module,
                }
                asked = json.dumps(request).encode()
                socket.send_fds(self._calls, [len(asked).to_bytes(4, "big") + asked], [*files, writing])
        finally:
            os.close(writing)
        status = os.fdopen(reading)
        return Forked(int(status.readline()), status)


def _early(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_KEPT)}


def _start() -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs, tempfile.TemporaryFile() as log:
        os.set_inheritable(theirs.fileno(), True)
        command = [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno()), str(Path(__file__).parents[2])]
        _THE_LONG_WAY(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=[theirs.fileno()]
        )
    return ours


_SERVE: Final = """
import sys
number, root = int(sys.argv[1]), sys.argv[2]
sys.path.insert(0, root)
from tests.support.zygote_server import leave, serve
leave(serve(number))
"""

ZYGOTE: Final = Zygote()


def install() -> None:
    """From now on ChildProcess starts commands of `headrace` by it."""
    mock.patch.object(child, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": ZYGOTE.popen})).start()
