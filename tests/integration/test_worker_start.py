"""A worker that cannot start says why in one line and ends with 2; one that can says so on its health endpoints.

On the run's broker the contract's topics are deleted and made: tests that share it use names of their own.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from ops.brokers import Broker
from streams.kafka import provision
from streams.settings import Settings
from streams.worker import Worker
from tests.support import forked
from tests.support.forked import Forked
from topics import catalogue

PROVIDER = """
[[providers]]
name = "main"
endpoints = [{ url = "http://127.0.0.1:9/v1" }]
"""
KEYED = PROVIDER.replace("/v1", '/v1", api_key_env = "KEY_OF_THE_TEST')
FLEET = """
[topics]
partitions = 12
[http]
listen = "127.0.0.1:0"
"""

Start = Callable[..., Forked]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `headrace worker` with a settings file of this text and the broker at this address."""
    started: list[Forked] = []

    def run(text: str, servers: str = "127.0.0.1:1") -> Forked:
        settings = tmp_path / "headrace.toml"
        settings.write_text(f'[kafka]\nbootstrap_servers = "{servers}"\n{text}')
        started.append(forked.start(["worker", "--settings", str(settings)], tmp_path / f"worker-{len(started)}"))
        return started[-1]

    try:
        yield run
    finally:
        for process in started:
            process.end(0)


def only_line(process: Forked) -> str:
    """What a worker said that could not start."""
    ended = process.end(60)
    assert (ended.code, ended.out) == (2, ""), ended.err
    (line,) = (each for each in ended.err.splitlines() if '"level":"info"' not in each)
    return line


def test_no_provider(start: Start) -> None:
    assert "providers" in only_line(start(FLEET))


def test_a_broker_that_cannot_be_reached(start: Start) -> None:
    line = only_line(start(FLEET + PROVIDER, "127.0.0.1:1"))
    assert "127.0.0.1:1" in line
    assert "kafka.bootstrap_servers" in line


def test_an_api_key_that_is_not_there(start: Start) -> None:
    line = only_line(start(FLEET + KEYED))
    assert "api_key_env" in line
    assert "KEY_OF_THE_TEST" in line


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"sk-hunter22\nsk-hunter22\n", b'"sk-hunter22"', "sk-hunter22\u200b".encode()]
)
def test_an_api_key_file_that_holds_no_key(start: Start, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    line = only_line(start(FLEET + PROVIDER.replace("/v1", f'/v1", api_key_file = "{file}')))
    assert line.startswith(f"headrace: providers[0].endpoints[0].api_key_file: {file} ")
    assert "hunter22" not in line


def test_an_api_key_in_a_variable_that_is_none(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_TEST", "sk-hunter22 # ours")
    line = only_line(start(FLEET + KEYED))
    assert line.startswith("headrace: providers[0].endpoints[0].api_key_env: the environment variable KEY_OF_THE_TEST ")
    assert "hunter22" not in line


def test_a_key_from_two_places(start: Start, tmp_path: Path) -> None:
    line = only_line(start(FLEET + KEYED.replace("_TEST", f'_TEST", api_key_file = "{tmp_path / "key"}')))
    assert "api_key_env and api_key_file exclude each other" in line


def test_a_password_file_that_holds_none(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"hunter22\0")
    sasl = f'security_protocol = "SASL_PLAINTEXT"\nsasl_username = "worker"\nsasl_password_file = "{file}"\n'
    line = only_line(start(sasl + FLEET + PROVIDER))
    assert line.startswith(f"headrace: kafka.sasl_password_file: {file} ")
    assert "hunter22" not in line


def test_an_unknown_setting(start: Start) -> None:
    line = only_line(start(FLEET + "retries = 3\n" + PROVIDER))
    assert "http.retries" in line


async def test_missing_topics_and_topics_with_other_partitions(start: Start, broker: Broker) -> None:
    servers = broker.bootstrap_servers
    await delete_contract_topics(servers)
    line = only_line(start(FLEET + PROVIDER, servers))
    assert "agent." in line
    assert "headrace topics apply" in line

    await provision.apply({"bootstrap_servers": servers}, catalogue(10))
    line = only_line(start(FLEET + PROVIDER, servers))
    assert "agent." in line
    assert "10" in line
    assert "12" in line


def test_a_taken_port(start: Start, topics: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = only_line(start(FLEET.replace("127.0.0.1:0", address) + PROVIDER, topics))
    assert "http.listen" in line
    assert address in line
    assert "in use" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_can_start_is_ready_counts_and_leaves_with_0(
    start: Start, topics: str, number: signal.Signals
) -> None:
    process = start(FLEET + PROVIDER, topics)
    assert process.wait_said('"ready"', 60)
    said = process.err.read_text()
    found = re.search(r'"ready".*"http":"([^"]+)"|"http":"([^"]+)".*"ready"', said.replace(" ", ""))
    assert found is not None, said
    address = found[1] or found[2]
    with urlopen(f"http://{address}/readyz", timeout=5) as answer:
        assert answer.status == 200
    with urlopen(f"http://{address}/metrics", timeout=5) as answer:
        assert b"headrace_partitions 36.0" in answer.read()
    process.send_signal(number)
    ended = process.end(60)
    assert (ended.code, ended.out) == (0, "")
    assert "drained" in ended.err
    assert "Traceback" not in ended.err


def test_a_worker_that_has_not_started_is_not_ready() -> None:
    assert not Worker(Settings()).ready


@pytest.fixture
async def topics(broker: Broker) -> str:
    """The address of a broker that has the contract's topics."""
    options = {"bootstrap_servers": broker.bootstrap_servers}
    report = await provision.apply(options, catalogue(12))
    if any(difference.kind == "partitions" for difference in report.differences):
        await delete_contract_topics(broker.bootstrap_servers)
        await provision.apply(options, catalogue(12))
    return broker.bootstrap_servers


async def delete_contract_topics(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        ours = {spec.name for spec in catalogue()}
        if there := ours & set(await admin.list_topics()):
            await admin.delete_topics(sorted(there))
        async with asyncio.timeout(30):
            while ours & set(await admin.list_topics()):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
