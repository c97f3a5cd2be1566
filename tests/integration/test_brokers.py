"""Local brokers: what they promise as processes, and what each kind can do of what the pipeline needs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from ops.brokers import Broker, BrokerError, apache, kafka_jars, start_broker
from ops.brokers import embedded as embedded_broker
from ops.brokers.ready import free_ports, live_brokers, wait_until_ready
from ops.processes.fleet import headrace_command
from streams.kafka.pacing import pace_empty_fetches
from tests.integration.probe import CHECK_DEADLINE_S, CHECKS
from tests.integration.probe.clients import new_topic, producer, reader
from tests.support.processes import heeds_interrupts, running
from tests.support.stopwatch import Stopwatch

DOCS = Path(__file__).parents[2] / "docs" / "brokers.md"

EMBEDDED_GAPS = {
    "an_unknown_topic_is_not_created_by_a_metadata_request",
    "a_fetch_waits_for_a_record",
    "metadata_over_4096_bytes_is_refused",
    "partitions_of_a_dead_member_move_after_its_session",
}


@pytest.fixture(scope="module")
def embedded() -> Iterator[Broker]:
    reason = embedded_broker.missing()
    if reason is not None:
        pytest.skip(reason)
    with start_broker("embedded") as started:
        yield started


@pytest.mark.parametrize("name", CHECKS)
async def test_a_kafka_broker_can_do_all_that_the_pipeline_needs(broker: Broker, name: str) -> None:
    if broker.kind == "embedded":
        pytest.skip("no real Kafka here; the embedded broker has tests of its own")
    await asyncio.wait_for(CHECKS[name](broker.bootstrap_servers), CHECK_DEADLINE_S)


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in EMBEDDED_GAPS])
async def test_the_embedded_broker_can_do_the_rest(embedded: Broker, name: str) -> None:
    await asyncio.wait_for(CHECKS[name](embedded.bootstrap_servers), CHECK_DEADLINE_S)


@pytest.mark.parametrize("name", sorted(EMBEDDED_GAPS))
async def test_a_gap_of_the_embedded_broker_is_still_one_and_is_documented(embedded: Broker, name: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await asyncio.wait_for(CHECKS[name](embedded.bootstrap_servers), CHECK_DEADLINE_S)
    assert f"| {name.replace('_', ' ')} | yes | **no**" in DOCS.read_text()


async def test_paced_fetches_are_few_on_the_embedded_broker_and_a_record_still_comes_soon(embedded: Broker) -> None:
    topic = await new_topic(embedded.bootstrap_servers)
    async with reader(embedded.bootstrap_servers, topic) as consumer, producer(embedded.bootstrap_servers) as client:
        pace_empty_fetches(consumer)
        fetches = 0
        fetch = consumer._fetcher._proc_fetch_request

        async def counted(*arguments: object) -> bool:
            nonlocal fetches
            fetches += 1
            return bool(await fetch(*arguments))

        consumer._fetcher._proc_fetch_request = counted
        await consumer.getmany(timeout_ms=1000)
        assert 0 < fetches <= 25
        watch = Stopwatch()
        await client.send_and_wait(topic, b"value")
        assert (await consumer.getone()).value == b"value"
        assert watch.running_s < 5


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.long)])
def test_a_broker_does_not_outlive_a_killed_parent(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("embedded" if kind == "embedded" else "private_broker")
    code = (
        "import concurrent.futures, time\n"
        "from ops.brokers import start_broker\n"
        # on a pool thread that ends, because Linux watches the thread that forked
        f"with concurrent.futures.ThreadPoolExecutor() as pool: broker = pool.submit(start_broker, {kind!r}).result()\n"
        "print(broker.pid, broker.bootstrap_servers, flush=True)\n"
        "time.sleep(120)\n"
    )
    env = os.environ | {"TMPDIR": str(tmp_path)}  # what a killed parent leaves behind is pytest's to remove
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as parent:
        try:
            assert parent.stdout is not None
            pid, address = parent.stdout.readline().split()
            host, port = address.split(":")
            assert live_brokers(host, int(port)), "the broker ended with the thread that asked for it"
        finally:
            parent.kill()
    watch = Stopwatch()
    while _runs(int(pid)):
        assert watch.running_s < 10, "the broker still runs"
        time.sleep(0.05)


@pytest.mark.long
def test_a_stopped_broker_goes_on_where_it_was_and_can_be_ended_while_stopped(
    private_broker: Callable[[], Broker],
) -> None:
    started = private_broker()
    assert started.pid is not None
    host, port = started.bootstrap_servers.split(":")
    os.kill(started.pid, signal.SIGSTOP)
    # A process of many threads stops a moment after the signal: an answer may still be on its way out.
    assert any(not live_brokers(host, int(port), timeout_s=0.5) for _ in range(20))
    os.kill(started.pid, signal.SIGCONT)
    wait_until_ready(host, int(port), started.alive, 30)
    os.kill(started.pid, signal.SIGSTOP)
    started.stop()
    assert not _runs(started.pid)


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.long)])
async def test_a_given_data_directory_is_used_again(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("embedded" if kind == "embedded" else "private_broker")
    async with await asyncio.to_thread(start_broker, kind, data_dir=tmp_path) as first:
        topic = await new_topic(first.bootstrap_servers)
        async with producer(first.bootstrap_servers) as client:
            await client.send_and_wait(topic, b"value")
    async with (
        await asyncio.to_thread(start_broker, kind, data_dir=tmp_path) as second,
        reader(second.bootstrap_servers, topic) as consumer,
    ):
        record = await asyncio.wait_for(consumer.getone(), 60)
    assert record.value == b"value"


@pytest.mark.parametrize("kind", ["kafka", "localhost", "localhost:port", ""])
def test_an_unknown_broker_is_refused_with_what_is_allowed(kind: str) -> None:
    with pytest.raises(BrokerError, match="use embedded, apache, or HOST:PORT"):
        start_broker(kind)


def test_an_address_where_no_broker_answers_is_refused() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        start_broker("127.0.0.1:1")


def test_missing_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerError, match="needs Java 17 or newer and there is none: install"):
        start_broker("apache")


@pytest.mark.parametrize("version", ["21.0.1", "17", "26-ea", "17.0.15+6-LTS"])
def test_missing_maven_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    fake = tmp_path / "java"
    fake.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BrokerError, match="there is no mvn: install Maven"):
        start_broker("apache")


def test_an_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerError, match=r"needs Java 17 or newer; .*java is 11"):
        start_broker("apache")


@pytest.mark.parametrize("kind", ["embedded", "apache"])
def test_a_taken_port_is_refused_though_a_broker_answers_there(kind: str, embedded: Broker) -> None:
    port = int(embedded.bootstrap_servers.rsplit(":", 1)[1])
    with pytest.raises(BrokerError, match=f"port {port} of 127.0.0.1 is taken"):
        start_broker(kind, port=port)


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.long)])
def test_a_port_that_another_broker_took_meanwhile_is_left_to_it(
    kind: str, embedded: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that start at one time are told that one port is free: the first to bind answers whoever asks for the second.

    KAFKA-1501, spring-projects/spring-kafka#582 and apache/twill#9 in kind; theirs ended, ours was taken for the other.
    """
    if kind == "apache" and (reason := kafka_jars.missing()) is not None:
        pytest.skip(reason)
    taken = int(embedded.bootstrap_servers.rsplit(":", 1)[1])
    offered: list[list[int]] = []

    def offer(count: int) -> list[int]:
        free = free_ports(count)
        offered.append(free if offered else [taken, *free[1:]])
        return offered[-1]

    monkeypatch.setattr(apache if kind == "apache" else embedded_broker, "free_ports", offer)
    with start_broker(kind) as second:
        assert second.bootstrap_servers == f"127.0.0.1:{offered[1][0]}"
        assert second.alive()
    assert embedded.alive()


@pytest.mark.long
def test_a_kafka_that_cannot_start_gives_its_own_reason(tmp_path: Path, private_broker: Callable[[], Broker]) -> None:
    (tmp_path / "meta.properties").write_text("version=1\ncluster.id=someone-elses\nnode.id=77\n")
    with pytest.raises(BrokerError, match=r"Apache Kafka did not start: it ended while starting; .*77"):
        start_broker("apache", data_dir=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_the_address_and_ends_its_broker(number: signal.Signals, embedded: Broker) -> None:
    async with command("run", "--kind", "embedded", "--port", "0") as process:
        assert process.stdout is not None
        host, port = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip().split(":")
        assert live_brokers(host, int(port))
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert not live_brokers(host, int(port))


async def test_the_command_on_a_taken_port_is_one_line_and_exit_code_2(embedded: Broker) -> None:
    async with command("run", "--kind", "embedded", "--port", embedded.bootstrap_servers.rsplit(":", 1)[1]) as process:
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"is taken" in said
    assert said.count(b"\n") == 1


def command(*arguments: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    return running(*headrace_command("broker", *arguments), stdout=pipe, stderr=pipe, preexec_fn=heeds_interrupts)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
