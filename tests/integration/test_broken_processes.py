"""Real worker and control processes that break once: they say so, and go on, or drain and end with 1."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest

from tests.integration import broken_process
from tests.integration.test_worker_start import FLEET, PROVIDER, topics
from tests.support import forked

__all__ = ["topics"]

pytestmark = pytest.mark.chaos

SAYS_WITHIN_S = 10.0
"""A second on an idle machine: what must not happen is that nothing is said."""


class Process:
    """One process, and what it says."""

    def __init__(self, command: str, how: str, settings: Path) -> None:
        arguments = [command, "--settings", str(settings)]
        self.process = forked.start(arguments, settings.parent / "log", {"BREAK": how}, module=broken_process.__name__)
        self._told = 0
        self.http = str(self.said("ready", 60)["http"])

    def said(self, event: str, within_s: float) -> dict[str, object]:
        """The next log line whose event begins so."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            lines = self.process.err.read_text().split("\n")[:-1]  # the last one may be half written
            for number in range(self._told, len(lines)):
                self._told = number + 1
                line = lines[number]
                if line.startswith("{") and str((found := orjson.loads(line))["event"]).startswith(event):
                    return dict(found)
            time.sleep(0.02)  # a file has no event for us
        raise AssertionError(f"it did not say {event!r}")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()


Start = Callable[[str, str], Process]


@pytest.fixture
def start(tmp_path: Path, topics: str, unique: Callable[[str], str]) -> Iterator[Start]:
    started: list[Process] = []

    def run(command: str, how: str) -> Process:
        settings = tmp_path / "headrace.toml"
        kafka = f'[kafka]\nbootstrap_servers = "{topics}"\ngroup_id = "{unique("broken")}"\n'
        kafka += '[front]\nlisten = "127.0.0.1:0"\n'
        settings.write_text(kafka + FLEET + '[logging]\nformat = "json"\n' + PROVIDER)
        started.append(Process(command, how, settings))
        return started[-1]

    yield run
    for each in started:
        each.process.end(0)


@pytest.mark.parametrize(
    ("command", "how", "event"),
    [
        ("worker", "callback", "an exception that nobody took, the process ends"),
        ("worker", "task", "an exception that nobody took, the process ends"),
        ("worker", "thread", "an exception that nobody took, the process ends"),
        ("worker", "faust", "the process cannot go on, it ends"),
        ("control", "callback", "an exception that nobody took, the process ends"),
        ("front", "callback", "an exception that nobody took, the process ends"),
        ("control", "control", "the process cannot go on, it ends"),
    ],
)
def test_a_fault_that_nothing_mends_ends_the_process_with_1_and_drained(
    start: Start, command: str, how: str, event: str
) -> None:
    """robinhood/faust#301 and celery/celery#7358: the process stayed, or ended with 0."""
    broken = start(command, how)
    broken.process.send_signal(signal.SIGUSR1)
    assert "broken on purpose" in str(broken.said(event, SAYS_WITHIN_S))
    if command == "worker":
        broken.said("drained", 30)
    assert broken.process.end(60).code == 1


def test_a_loop_that_fails_once_says_so_is_counted_and_goes_on(start: Start) -> None:
    worker = start("worker", "governor")
    worker.process.send_signal(signal.SIGUSR1)
    said = worker.said("a background loop failed", SAYS_WITHIN_S)
    assert (said["loop"], "broken on purpose" in str(said)) == ("governor", True)
    assert 'headrace_loop_faults_total{loop="governor"} 1.0' in worker.get("/metrics")[1]
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.end(60).code == 0
