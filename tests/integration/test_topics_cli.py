"""`headrace topics` and `headrace schemas` as a user calls them: output, exit codes, one line on stderr."""

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.brokers import Broker
from ops.processes.fleet import headrace_command
from schemas.export import EXPORTED
from topics import catalogue

COUNT = len(catalogue())
"""Topics of the contract."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def headrace(tmp_path: Path) -> Run:
    """Runs `headrace GROUP …` in an empty directory, with the broker at an address given."""

    def run(*arguments: str, servers: str = "127.0.0.1:1") -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        return subprocess.run(
            headrace_command(*arguments),
            env={**environ, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": servers},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_topics_are_applied_listed_and_checked(private_broker: Callable[[], Broker], headrace: Run) -> None:
    servers = private_broker().bootstrap_servers
    before = headrace("topics", "check", servers=servers)
    assert before.returncode == 1
    assert len(before.stdout.splitlines()) == COUNT
    assert all("missing" in line for line in before.stdout.splitlines())

    applied = headrace("topics", "apply", "--json", servers=servers)
    assert (applied.returncode, applied.stderr) == (0, "")
    report = json.loads(applied.stdout)
    assert (len(report["done"]), report["differences"], report["notes"]) == (COUNT, [], [])

    after = headrace("topics", "check", servers=servers)
    assert (after.returncode, after.stdout) == (0, f"{COUNT} topics are as the contract wants them\n")

    listed = headrace("topics", "list", servers=servers)
    assert listed.returncode == 0
    assert "agent.requests.normal" in listed.stdout
    as_json = json.loads(headrace("topics", "list", "--json", servers=servers).stdout)
    assert {row["state"] for row in as_json["topics"]} == {"ok"}


@pytest.mark.parametrize("command", ["apply", "list", "check"])
def test_an_unreachable_broker_is_one_line_and_exit_code_2(headrace: Run, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{taken.getsockname()[1]}"
        result = headrace("topics", command, servers=servers)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert servers in result.stderr


def test_schemas_are_exported_to_a_directory_and_checked_there(headrace: Run, tmp_path: Path) -> None:
    target = tmp_path / "contract"
    assert headrace("schemas", "export", "--check", "--dir", str(target)).returncode == 1
    assert headrace("schemas", "export", "--dir", str(target)).returncode == 0
    assert headrace("schemas", "export", "--check", "--dir", str(target)).returncode == 0
    assert {path.name for path in target.iterdir()} == {path.name for path in EXPORTED.iterdir()}
    (target / "request.v1.json").write_text("{}")
    changed = headrace("schemas", "export", "--check", "--dir", str(target))
    assert changed.returncode == 1
    assert "request.v1.json" in changed.stderr


def test_the_shipped_export_is_current(headrace: Run) -> None:
    assert headrace("schemas", "export", "--check").returncode == 0
