"""The cluster changes under a running worker: other addresses, more partitions, a topic made anew, a log that was cut."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from ops.brokers import Broker, kafka_jars
from ops.brokers.apache import ApacheBroker
from ops.brokers.ready import free_ports
from ops.load.traffic import Traffic
from ops.processes.fleet import WorkerProcess
from streams.kafka import provision
from streams.kafka.provision import ProvisionError
from tests.support.fixtures import Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, delete_topics, fresh_topics, request, wait_until
from tests.support.simulator import Simulator
from tests.support.stopwatch import Stopwatch
from topics import catalogue
from topics.names import TOPIC_OF

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

SERVED_WITHIN_S = 30
PLACE = 3
"""The partition whose log is cut."""


@asynccontextmanager
async def pipeline_on(broker: Broker, directory: Path, group: str, bootstrap: str) -> AsyncIterator[Pipeline]:
    await fresh_topics({"bootstrap_servers": broker.bootstrap_servers})
    async with Simulator(directory) as simulator:
        made = Pipeline(broker, group, directory, simulator)
        broker.bootstrap_servers = bootstrap
        yield made


async def is_ready(worker: WorkerProcess, wanted: bool) -> bool:
    """Whether /readyz says so."""
    (address,) = re.findall(r'"http":"([^"]+)"', worker.log_text())[:1]
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/readyz") as answer:
        return (answer.status == 200) == wanted


def needs_kafka() -> None:
    if (reason := kafka_jars.missing()) is not None:
        pytest.skip(reason)


async def send(traffic: Traffic, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        await traffic.send("normal", agent_on(index % PARTITIONS), request(name))


async def test_brokers_that_come_back_under_other_addresses_are_found_by_the_bootstrap_list(
    tmp_path: Path, unique: Callable[[str], str], measured: Measured
) -> None:
    """kafka#13277, scylladb/python-driver#254 and KAFKA-12193 in kind."""
    needs_kafka()
    before, after = free_ports(2)
    both = f"127.0.0.1:{before},127.0.0.1:{after}"
    broker = await asyncio.to_thread(ApacheBroker, before, tmp_path / "data")
    try:
        async with pipeline_on(broker, tmp_path, unique("workers"), both) as pipeline, pipeline.fleet() as fleet:
            (worker,) = await fleet.start(1)
            async with pipeline.traffic() as traffic:
                await send(traffic, [f"before-{n}" for n in range(24)])
                assert await traffic.wait_answered(60)
            await asyncio.to_thread(broker.stop)
            await wait_until(lambda: is_ready(worker, False), 60)
            broker = await asyncio.to_thread(ApacheBroker, after, tmp_path / "data")
            watch = Stopwatch()
            async with pipeline.traffic() as traffic:
                await send(traffic, [f"after-{n}" for n in range(24)])
                assert await traffic.wait_answered(60)
                took_s = watch.running_s
                summary = traffic.ledger.summary()
            await wait_until(lambda: is_ready(worker, True), 60)
            assert worker.alive
            text = worker.log_text()
    finally:
        await asyncio.to_thread(broker.stop)
    measured(f"answered {took_s:.1f} s after the broker was back; {text.count(chr(10))} log lines; {summary}")
    assert (summary.ok, summary.lost) == (24, 0)
    assert took_s < 15
    assert "Traceback" not in text
    assert text.count("\n") < 100  # KAFKA.md K1: 1,786 lines


async def test_partitions_that_were_added_and_a_topic_made_anew_are_served_in_time(
    pipeline: Pipeline, measured: Measured
) -> None:
    """sarama-cluster#126, librdkafka#1582 and strimzi-kafka-operator#9269 in kind; KAFKA.md K2: 300 s, most expired."""
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        await send(traffic, [f"first-{n}" for n in range(60)])
        assert await traffic.wait_answered(60)

        admin = AIOKafkaAdminClient(**pipeline.client_options)
        await admin.start()
        await admin.create_partitions({TOPIC_OF["normal"]: NewPartitions(PARTITIONS + 4)})
        await admin.close()
        grown = Stopwatch()
        await asyncio.sleep(1)
        for number in range(200):  # by the producer's metadata, which may lag
            await traffic.send("normal", f"grown-{number}", request(f"grown-{number}"))
        assert await traffic.wait_answered(SERVED_WITHIN_S + 10)
        grown_s = grown.running_s

        await delete_topics(pipeline.client_options, [TOPIC_OF["normal"]])
        await provision.apply(pipeline.client_options, catalogue(PARTITIONS))
        anew = Stopwatch()
        await asyncio.sleep(1)
        for number in range(120):
            await traffic.send("normal", f"anew-{number}", request(f"anew-{number}"))
        assert await traffic.wait_answered(SERVED_WITHIN_S + 10)
        anew_s = anew.running_s
        await pipeline.wait_all_committed(60)
        summary = traffic.ledger.summary()
        assert worker.alive
    measured(f"grown: {grown_s:.1f} s, made anew: {anew_s:.1f} s; {summary}")
    assert (summary.ok, summary.lost) == (380, 0)
    assert max(grown_s, anew_s) < SERVED_WITHIN_S


async def test_a_log_that_was_cut_goes_on_where_it_was_cut_and_nothing_is_called_again(
    tmp_path: Path, unique: Callable[[str], str], measured: Measured
) -> None:
    """parallel-consumer#409, kafkajs#818 and KAFKA-20507 in kind; KAFKA.md K4. The cut is a power cut of the one replica: its
    log is put back to what it was, with a call under way, and new records take the offsets of those that are gone.
    """
    needs_kafka()
    (port,) = free_ports(1)
    data = tmp_path / "data"
    log_dir, kept = data / f"{TOPIC_OF['normal']}-{PLACE}", tmp_path / "kept"
    broker = await asyncio.to_thread(ApacheBroker, port, data)
    try:
        async with (
            pipeline_on(broker, tmp_path, unique("workers"), broker.bootstrap_servers) as pipeline,
            pipeline.fleet() as fleet,
        ):
            (worker,) = await fleet.start(1)

            async def answer(names: Sequence[str]) -> None:
                async with pipeline.traffic() as traffic:
                    for name in names:
                        await traffic.send("normal", agent_on(PLACE), request(name))
                    assert await traffic.wait_answered(60)

            await answer([f"first-{n}" for n in range(30)])
            await asyncio.to_thread(broker.stop)
            shutil.copytree(log_dir, kept)
            broker = await asyncio.to_thread(ApacheBroker, port, data)
            await answer([f"gone-{n}" for n in range(40)])
            async with pipeline.traffic() as traffic:
                await traffic.send("normal", agent_on(PLACE), request("slow", latency_ms=20_000))
                await pipeline.simulator.wait_in_flight(1)
                await answer([f"behind-{n}" for n in range(20)])

                async def is_committed_behind_the_slow_one() -> bool:
                    found = (await pipeline.committed()).get(TopicPartition(TOPIC_OF["normal"], PLACE))
                    return found is not None and found.covers(30 + 40 + 20)

                await wait_until(is_committed_behind_the_slow_one, 15)
                await asyncio.to_thread(broker.stop)
                shutil.rmtree(log_dir)
                shutil.copytree(kept, log_dir)
                (data / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
                broker = await asyncio.to_thread(ApacheBroker, port, data)
                watch = Stopwatch()
                await answer([f"new-{n}" for n in range(90)])
                took_s = watch.running_s
                assert await traffic.wait_answered(60)
            await asyncio.sleep(2)
            assert worker.alive
            text = worker.log_text()
            calls = pipeline.simulator.calls()

            async def is_committed() -> bool:
                return not await pipeline.unfinished()

            await wait_until(is_committed, 60)
    finally:
        await asyncio.to_thread(broker.stop)
    measured(f"new ones answered {took_s:.1f} s after; {len(calls)} calls")
    assert "a partition's log was cut" in text
    assert "Traceback" not in text
    assert len(calls) == 30 + 40 + 1 + 20 + 90


async def test_an_advertised_address_that_nobody_reaches_is_named(tmp_path: Path) -> None:
    """kafka-python#1861 in kind; KAFKA.md K11: `NodeNotReadyError`."""
    needs_kafka()
    port, nowhere = free_ports(2)
    settings = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{nowhere}"}
    broker = await asyncio.to_thread(ApacheBroker, port, None, lambda line: None, settings)
    try:
        with pytest.raises(ProvisionError, match=f"names 127.0.0.1:{nowhere} as its address"):
            await provision.check({"bootstrap_servers": f"127.0.0.1:{port}"}, catalogue(PARTITIONS))
    finally:
        await asyncio.to_thread(broker.stop)
