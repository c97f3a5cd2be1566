"""The process that forks (tests/support/zygote.py): one thread, everything imported, nothing running."""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn

import tests.support.forked_imports  # noqa: F401 - so that what is forked need not
from ops.cli import main

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_MOST_FILES: Final = 4096


def serve(number: int) -> Callable[[], object]:
    """Fork what is asked for on the socket `number`; returns in each forked process what it is to run, and never in this one."""
    assert threading.active_count() == 1, "a fork would lose the other threads, with the locks that they hold"
    calls = socket.socket(fileno=number)
    ends: dict[int, int] = {}
    """By pid, the pipe on which its end is told."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    gc.collect()
    gc.freeze()
    selector = selectors.DefaultSelector()
    selector.register(calls, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd == woken:
                os.read(woken, 4096)
                _tell_ends(ends)
            elif (asked := _receive(calls)) is None:
                os._exit(0)  # what was forked is killed with its parent
            elif (pid := os.fork()) == 0:
                selector.close()
                calls.detach()
                return _become(*asked)
            else:
                *given, status = asked[1]
                for each in given:
                    os.close(each)
                os.write(status, b"%d\n" % pid)
                ends[pid] = status


def leave(run: Callable[[], object]) -> NoReturn:
    """Run it, and end as the interpreter does, but for taking every object apart, which copies the memory that it shares with its
    parent: 65 ms for a command that does nothing, and 18 without.
    """
    code: object = None
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads that are no daemons
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code or 0)


def _receive(calls: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, fds, _, _ = socket.recv_fds(calls, 65_536, 4)
    if not data:
        return None
    size = 4 + int.from_bytes(data[:4], "big")
    while len(data) < size:
        data += calls.recv(size - len(data))
    return json.loads(data[4:size]), list(fds)


def _tell_ends(ends: dict[int, int]) -> None:
    for pid in list(ends):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            told = ends.pop(pid)
            with suppress(BrokenPipeError):
                os.write(told, b"%d\n" % status)
            os.close(told)


def _become(request: dict[str, Any], fds: list[int]) -> Callable[[], object]:
    """What `python -P -m ops.cli` would be at its start, in a session of its own."""
    parent = os.getppid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, source in enumerate(fds[:3]):
        os.dup2(source, number)
    os.closerange(3, _MOST_FILES)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, encoding="utf-8", closefd=False),  # noqa: SIM115 - the process's own
        open(1, "w", encoding="utf-8", closefd=False),  # noqa: SIM115
        open(2, "w", encoding="utf-8", closefd=False, buffering=1),  # noqa: SIM115
    )
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv = ["headrace", *request["arguments"]]
    if module := request["module"]:
        return partial(runpy.run_module, module, run_name="__main__", alter_sys=True)
    return main
