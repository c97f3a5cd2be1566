"""Processes that are forked with their imports done are processes as any others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment, headrace_command

ROOT = Path(__file__).parents[2]
SIMULATOR = ("provider-sim", "--port", "0")


def started(log: Path, *arguments: str) -> ChildProcess:
    return ChildProcess(headrace_command(*arguments), log, clean_environment())


def ended(child: ChildProcess) -> int | None:
    until = time.monotonic() + 30
    while child.alive() and time.monotonic() < until:
        time.sleep(0.02)
    return child.exit_code


def said(child: ChildProcess, words: str) -> bool:
    until = time.monotonic() + 30
    while words not in child.log_text() and child.alive() and time.monotonic() < until:
        time.sleep(0.02)
    return words in child.log_text()


def test_an_end_a_signal_and_a_stop_are_told_as_of_any_process(tmp_path: Path) -> None:
    for number, (arguments, code) in enumerate(((("--version",), 0), (("no-such-command",), 2))):
        assert ended(started(tmp_path / f"{number}.log", *arguments)) == code
    killed, stopped = started(tmp_path / "killed.log", *SIMULATOR), started(tmp_path / "stopped.log", *SIMULATOR)
    assert said(killed, "listens on")
    assert said(stopped, "listens on")
    assert (os.getsid(killed.pid), psutil.Process(killed.pid).num_threads() >= 1) == (killed.pid, True)
    killed.send_signal(signal.SIGKILL)
    assert ended(killed) == -9
    killed.send_signal(signal.SIGTERM)  # its pid may be another's by now: it is not sent
    stopped.stop()
    assert stopped.exit_code == 0


def test_they_end_with_who_started_them(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.support.zygote import install; install(); "
        "from tests.integration.test_zygote import SIMULATOR, said, started; "
        "child = started(Path(sys.argv[1]), *SIMULATOR); said(child, 'listens on'); print(child.pid, flush=True); "
        "time.sleep(60)"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, env=environ
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert psutil.pid_exists(pid)
        starter.kill()
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)
