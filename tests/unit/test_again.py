"""What fails while the machine stands still is run again, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.support import again

def pytest_runtest_protocol(item, nextitem):
    again.run(item, nextitem)
    return True
"""
TESTS = """
import os, signal, subprocess
from pathlib import Path
import pytest

RUNS = Path(__file__).with_name("runs")

@pytest.fixture
def anew(tmp_path):
    assert not list(tmp_path.iterdir())
    yield tmp_path
    with RUNS.open("a") as runs:
        runs.write("ended ")

def stand_still(seconds):
    subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)

def times(name):
    with RUNS.open("a") as runs:
        runs.write(name + " ")
    return RUNS.read_text().split().count(name)

def test_still_once(anew):
    if times("once") == 1:
        stand_still(1.5)
        assert False, "too late"

def test_still_and_good():
    times("good")
    stand_still(1.5)

def test_bad():
    times("bad")
    assert False

def test_bad_and_still():
    times("still")
    stand_still(1.5)
    assert False
"""


def test_a_test_is_run_again_where_it_failed_and_the_machine_stood_still(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_them.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--rootdir", "."]
    ran = subprocess.run(
        [*command, "test_them.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    runs = (tmp_path / "runs").read_text().split()
    assert {name: runs.count(name) for name in runs} == {"once": 2, "ended": 2, "good": 1, "bad": 1, "still": 3}
    assert "2 failed, 2 passed, 3 warnings" in ran.stdout
    assert "run again: the machine stood still for 1." in ran.stdout
    assert "too late" in ran.stdout
