"""Every command of `headrace`: right, wrong and missing input, no broker, a silent one, a pipe, 60 columns, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ops.brokers import Broker
from streams.kafka import provision
from tests.support.command_table import ROWS, Row, commands
from tests.support.forked import Ended, start
from tests.support.pipeline import delete_topics
from topics import catalogue

BROKER_DOWN_WITHIN_S = 10.0
AT_A_TIME = 10

Seen = dict[str, Ended]


def settings(folder: Path, servers: str) -> dict[str, str]:
    """A settings file of a small fleet, and the variables that lead to it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "headrace.toml"
    file.write_text(
        f'kafka.bootstrap_servers = "{servers}"\nkafka.group_id = "{folder.parent.name}"\n'
        "topics.partitions = 2\nscaling.limits.max = 2\nscaling.limits.min = 1\n"
        f'front.listen = "127.0.0.1:0"\nui.listen = "127.0.0.1:0"\nui.path = "{folder}/ui"\n'
        f'cache.disk.path = "{folder}/cache"\n'
        '[[providers]]\nname = "main"\nendpoints = [{ url = "http://127.0.0.1:9/v1" }]\n'
    )
    return {"HEADRACE_SETTINGS": str(file)}


def all_of(cases: dict[str, Callable[[], Ended]]) -> Seen:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        running = {name: pool.submit(case) for name, case in cases.items()}
        return {name: case.result() for name, case in running.items()}


def called(arguments: str, folder: Path, environ: dict[str, str], within_s: float = 30.0) -> Ended:
    return start(arguments.split(), folder, environ).end(within_s)


def faults(seen: Seen, code: Callable[[str], int], *, one_line: bool, within_s: float = 60.0) -> list[str]:
    """What is not as it should be, in words: all of it, and not the first one alone."""
    found = []
    for name, ended in seen.items():
        said = f"{ended.code} after {ended.took_s:.1f} s: {ended.out[-300:]!r} {ended.err[-600:]!r}"
        lines = ended.err.splitlines()
        if ended.code != code(name) or ended.took_s > within_s or "Traceback" in ended.err + ended.out:
            found.append(f"{name}: wanted {code(name)}, {said}")
        elif one_line and not (
            len(lines) == 1 and (lines[0].startswith("headrace: ") or name.startswith("config check"))
        ):
            found.append(f"{name}: not one line, {said}")
    return found


@contextmanager
def silent_broker() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_every_command_has_a_row() -> None:
    assert sorted(commands()) == sorted(ROWS)


def test_what_is_wrong_or_missing_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    environ = settings(tmp_path / "settings", closed_port())
    given = {f"{name} {row.wrong}": 2 for name, row in ROWS.items()}
    given |= {f"{name} --no-such-option": 2 for name in ROWS}
    given |= {f"{name} {row.missing}".strip(): 2 for name, row in ROWS.items() if row.missing}
    given |= {f"{name} --settings no-such-file {row.right}": 2 for name, row in ROWS.items() if row.reads_settings}
    seen = all_of({
        arguments: partial(called, arguments, tmp_path / str(number), environ)
        for number, arguments in enumerate(given)
    })  # fmt: skip
    assert not (found := faults(seen, given.__getitem__, one_line=True)), "\n".join(found)


def test_a_command_without_what_it_needs_shows_its_help_or_says_what_is_missing(tmp_path: Path) -> None:
    environ = settings(tmp_path / "settings", closed_port())
    names = [name for name, row in ROWS.items() if row.missing is not None]
    seen = all_of({name: partial(called, name, tmp_path / name, environ) for name in names})
    assert not (found := faults(seen, lambda _: 2, one_line=False)), "\n".join(found)
    assert not [name for name, ended in seen.items() if "Usage" not in ended.out and "headrace: " not in ended.err]


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_broker_that_is_down_is_told_within_ten_seconds(kind: str, tmp_path: Path) -> None:
    names = [name for name, row in ROWS.items() if row.asks]
    with silent_broker() as silent:
        environ = settings(tmp_path / "settings", closed_port() if kind == "closed" else silent)
        seen = all_of({
            name: partial(called, f"{name} {ROWS[name].right}", tmp_path / name, environ, 30) for name in names
        })  # fmt: skip
    told = {name: ended for name, ended in seen.items() if name != "status"}
    found = faults(told, lambda _: 2, one_line=True, within_s=BROKER_DOWN_WITHIN_S)
    found += faults({"status": seen["status"]}, lambda _: 2, one_line=False, within_s=BROKER_DOWN_WITHIN_S)
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def served(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a broker with the contract's topics, and no fleet."""
    options = {"bootstrap_servers": broker.bootstrap_servers}
    asyncio.run(delete_topics(options))
    asyncio.run(provision.apply(options, catalogue(2)))
    return settings(tmp_path_factory.mktemp("served") / "settings", broker.bootstrap_servers)


def test_another_cluster_than_the_one_that_is_meant_is_told_in_one_line(served: dict[str, str], tmp_path: Path) -> None:
    environ = served | {"HEADRACE_KAFKA__CLUSTER_ID": "of-another-environment"}
    asking = ("config check --connect", "topics list", "worker", "send hi", "cost", "providers list")
    seen = all_of({name: partial(called, name, tmp_path / name, environ) for name in asking})
    assert not (found := faults(seen, lambda _: 2, one_line=True)), "\n".join(found)
    assert all("kafka.cluster_id wants of-another-environment" in ended.err for ended in seen.values())


def test_what_is_right_ends_with_the_code_that_it_should(served: dict[str, str], tmp_path: Path) -> None:
    """At 60 columns, without colours; what ends by itself."""
    ending = {name: row for name, row in ROWS.items() if row.stops in ("at once", "interrupted")}
    environ = served | {"COLUMNS": "60", "NO_COLOR": "1", "FORCE_COLOR": ""}

    def run(name: str) -> Ended:
        return called(f"{name} {ROWS[name].right}", tmp_path / name, environ)

    seen = all_of({name: partial(run, name) for name in ending})
    found = faults(seen, lambda name: ROWS[name].code, one_line=False)
    found += [f"{name}: colours" for name, ended in seen.items() if "\x1b" in ended.out + ended.err]
    tables = ("topics list", "providers list", "simulate flow")
    found += [
        f"{name}: wider than 60" for name in tables if any(len(line) > 60 for line in seen[name].out.splitlines())
    ]
    found += [f"{name}: cut" for name in tables if "…" in seen[name].out]
    assert not found, "\n".join(found)


def test_a_reader_that_leaves_early_ends_the_command_without_a_word(served: dict[str, str], tmp_path: Path) -> None:
    quiet = {name: row for name, row in ROWS.items() if row.stops == "at once" and row.code in (0, 1)}

    def piped(name: str, row: Row) -> Ended:
        reading, writing = os.pipe()
        try:
            forked = start(f"{name} {row.right}".split(), tmp_path / name, served, stdout=writing)
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            pipe.read(1)  # as `head` does, and then it is gone
        return forked.end(60)

    seen = all_of({name: partial(piped, name, row) for name, row in quiet.items()})
    assert not [f"{name}: {ended}" for name, ended in seen.items() if ended.code not in (0, 1)]
    assert not [
        f"{name}: {ended}" for name, ended in seen.items() if "Traceback" in ended.err or "Exception" in ended.err
    ]


def test_ctrl_c_ends_what_runs(served: dict[str, str], tmp_path: Path) -> None:
    waiting = {
        "send": "send hi --wait 60s", "tail": "tail agent.responses", "replay": "replay --rate 2 --seconds 60",
    }  # fmt: skip
    says = {"broker run": "127.0.0.1:", "provider-sim": "listens on"}
    codes = {"in order": 0, "interrupted": 130}
    stopping = {name: row for name, row in ROWS.items() if row.stops in codes}

    def interrupted(name: str, row: Row) -> Ended:
        forked = start(waiting.get(name, f"{name} {row.right}").split(), tmp_path / name, served)
        if row.stops == "in order":
            assert forked.wait_said(says.get(name, "ready"), 60), name
        else:
            forked.wait_said("never said", 4)
        forked.interrupt()
        return forked.end(60)

    seen = all_of({name: partial(interrupted, name, row) for name, row in stopping.items()})
    assert not (found := faults(seen, lambda name: codes[ROWS[name].stops], one_line=False)), "\n".join(found)
