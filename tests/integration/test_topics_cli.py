"""`headrace topics` and `headrace schemas` as a user calls them: output, exit codes, one line on stderr."""

import asyncio
import itertools
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.brokers import Broker
from schemas.export import EXPORTED
from tests.support.forked import Ended, start
from tests.support.pipeline import delete_topics
from topics import catalogue

COUNT = len(catalogue())
"""Topics of the contract."""

Run = Callable[..., Ended]


@pytest.fixture
def headrace(tmp_path: Path) -> Run:
    """Runs `headrace GROUP …` in an empty directory, with the broker at an address given."""

    numbers = itertools.count()

    def run(*arguments: str, servers: str = "127.0.0.1:1") -> Ended:
        environ = {"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": servers}
        return start(arguments, tmp_path / f"called-{next(numbers)}", environ).end(60)

    return run


def test_topics_are_applied_listed_and_checked(kafka: Broker, headrace: Run) -> None:
    servers = kafka.bootstrap_servers
    asyncio.run(delete_topics({"bootstrap_servers": servers}))
    before = headrace("topics", "check", servers=servers)
    assert before.code == 1
    assert len(before.out.splitlines()) == COUNT
    assert all("missing" in line for line in before.out.splitlines())

    applied = headrace("topics", "apply", "--json", servers=servers)
    assert (applied.code, applied.err) == (0, "")
    report = json.loads(applied.out)
    assert (len(report["done"]), report["differences"], report["notes"]) == (COUNT, [], [])

    after = headrace("topics", "check", servers=servers)
    assert (after.code, after.out) == (0, f"{COUNT} topics are as the contract wants them\n")

    listed = headrace("topics", "list", servers=servers)
    assert listed.code == 0
    assert "agent.requests.normal" in listed.out
    as_json = json.loads(headrace("topics", "list", "--json", servers=servers).out)
    assert {row["state"] for row in as_json["topics"]} == {"ok"}


@pytest.mark.parametrize("command", ["apply", "list", "check"])
def test_an_unreachable_broker_is_one_line_and_exit_code_2(headrace: Run, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{taken.getsockname()[1]}"
        result = headrace("topics", command, servers=servers)
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert servers in result.err


def test_schemas_are_exported_to_a_directory_and_checked_there(headrace: Run, tmp_path: Path) -> None:
    target = tmp_path / "contract"
    assert headrace("schemas", "export", "--check", "--dir", str(target)).code == 1
    assert headrace("schemas", "export", "--dir", str(target)).code == 0
    assert headrace("schemas", "export", "--check", "--dir", str(target)).code == 0
    assert {path.name for path in target.iterdir()} == {path.name for path in EXPORTED.iterdir()}
    (target / "request.v1.json").write_text("{}")
    changed = headrace("schemas", "export", "--check", "--dir", str(target))
    assert changed.code == 1
    assert "request.v1.json" in changed.err


def test_the_shipped_export_is_current(headrace: Run) -> None:
    assert headrace("schemas", "export", "--check").code == 0
