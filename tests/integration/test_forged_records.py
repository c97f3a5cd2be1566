"""A forged record of every control topic changes nothing, whichever way it is read; the fleet's own count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, read_until
from ops.brokers import Broker
from streams.kafka.cluster import cluster_of
from streams.kafka.fetch import Fetch
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.log_reader import log_reader
from streams.kafka.reconnect import make_producer
from streams.kafka.record_batch import RecordBatch
from streams.settings import Settings, load_settings
from streams.signing import SIGNATURE
from tests.support.pipeline import fresh_topics
from tests.support.stopwatch import Stopwatch
from topics.control import control_topics
from topics.names import V1

ONE, TWO, OTHER = ("a" * 32, "b" * 32, "c" * 32)
CONTROL = sorted(control_topics(V1))
_KEY = b"0" * 64
_HEADERS = [("ce_id", b"1")]


def settings_of(broker: Broker, secret: str, monkeypatch: pytest.MonkeyPatch, **fleet: str) -> Settings:
    monkeypatch.setenv("FLEET_SECRET", secret)
    variables = {f"HEADRACE_FLEET__{name.upper()}": value for name, value in fleet.items()}
    return load_settings(
        environ={
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "HEADRACE_FLEET__SECRET_ENV": "FLEET_SECRET",
            **variables,
        }
    )


@dataclass(slots=True)
class Bench:
    """A broker with the contract's topics, and who may write there."""

    plain: AIOKafkaProducer
    options: Mapping[str, Any]

    async def honest(self, topic: str, value: bytes, key: bytes = _KEY) -> None:
        producer = make_producer(**self.options)
        await producer.start()
        try:
            await producer.send_and_wait(topic, value, key, 0, headers=_HEADERS)
        finally:
            await producer.stop()

    async def honest_batch(self, topic: str, value: bytes) -> None:
        """As cached answers, deltas and windows are written."""
        producer = make_producer(**self.options)
        await producer.start()
        try:
            await producer.partitions_for(topic)
            cluster = cluster_of(producer)
            batch = RecordBatch(1 << 20)
            batch.append(_KEY, value, cluster.signed(topic, _KEY, value, _HEADERS))
            to = TopicPartition(topic, 0)
            leader = cluster.leader(to)
            assert leader is not None
            assert not await cluster.produce(leader, {to: batch.written()}, 5000)
        finally:
            await producer.stop()

    async def forge(self, topic: str, value: bytes | None, headers: Any, key: bytes | None = _KEY) -> None:
        await self.plain.send_and_wait(topic, value, key, 0, headers=list(headers))

    async def all_records(self, topic: str) -> list[Any]:
        """As they stand in the log, for a forger to copy."""
        options = {"bootstrap_servers": self.options["bootstrap_servers"]}
        return await self._read(options, topic)

    async def _read(self, options: Mapping[str, Any], topic: str) -> list[Any]:
        partition = TopicPartition(topic, 0)
        async with open_reader(options) as consumer:
            begin, end = await begin_offsets(consumer, [partition]), await end_offsets(consumer, [partition])
            async with aclosing(read_until(consumer, begin, end)) as records:  # type: ignore[type-var]
                return [record async for record in records]

    async def counted(self, topic: str) -> dict[str, list[bytes]]:
        """Values that count, by the way of reading."""
        partition = TopicPartition(topic, 0)
        found = {"getmany": [record.value for record in await self._read(self.options, topic)]}
        async with log_reader(self.options) as consumer:
            fetch = Fetch(consumer)
            consumer.assign([partition])
            consumer.seek(partition, 0)
            end = (await end_offsets(consumer, [partition]))[partition]
            taken: list[bytes] = []
            position: int | None = 0
            async with asyncio.timeout(60):
                while (position or 0) < end:
                    for ready in fetch.ready():
                        records, position = fetch.take(ready, 100)
                        taken += [record.value or b"" for record in records]
                    await fetch.wait(0.2)
            found["fetch"] = taken
        return found


@pytest.fixture
async def bench(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    settings = settings_of(kafka, ONE, monkeypatch)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, max_request_size=2**22) as plain:
        yield Bench(plain, settings.kafka.client_options())


async def test_on_every_control_topic_only_what_the_fleet_signed_there_counts(
    bench: Bench, kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Bench(bench.plain, settings_of(kafka, OTHER, monkeypatch).kafka.client_options())
    for topic in CONTROL:
        await bench.honest(topic, b"first")
        true = (await bench.all_records(topic))[-1]
        assert SIGNATURE in dict(true.headers)
        elsewhere = next(each for each in CONTROL if each != topic)
        await bench.forge(topic, b"unsigned", _HEADERS)
        await bench.forge(topic, b"changed", true.headers)
        await bench.forge(topic, b"firs", true.headers)
        await bench.forge(topic, None, true.headers)
        await bench.forge(topic, b"first", true.headers, key=b"1" * 64)
        await bench.forge(topic, b"first", [*true.headers, ("expires_at_ms", b"9")])
        await bench.forge(topic, b"first", [("ce_id", b"2"), true.headers[1]])
        await bench.forge(topic, b"garbage", [(SIGNATURE, b"1.x")])
        await bench.forge(topic, b" " * (control_topics(V1)[topic].most_bytes - 1000), _HEADERS)
        await stranger.honest(topic, b"stranger")
        await bench.forge(elsewhere, b"first", true.headers)
        await bench.honest_batch(topic, b"last")
    for topic in CONTROL:
        assert await bench.counted(topic) == {"getmany": [b"first", b"last"], "fetch": [b"first", b"last"]}, topic


async def test_a_true_record_that_is_written_again_later_or_twice_changes_nothing(
    bench: Bench, kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Bench(bench.plain, settings_of(kafka, ONE, monkeypatch, signed_within="6s").kafka.client_options())
    for topic in CONTROL:
        await bench.forge(topic, b"unsigned", _HEADERS)  # until a new topic takes records
    for topic in CONTROL:
        await late.honest(topic, b"true")
    await asyncio.sleep(7)
    for topic in CONTROL:
        _, true = await bench.all_records(topic)
        await bench.forge(topic, true.value, true.headers, true.key)
    for topic in CONTROL:
        assert await late.counted(topic) == {"getmany": [b"true"], "fetch": [b"true"]}, topic
        if control_topics(V1)[topic].once:
            assert (await bench.counted(topic))["getmany"] == [b"true"], topic


async def test_secrets_take_turns_while_all_write(bench: Bench, kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [ONE, f"{ONE} {TWO}", f"{TWO} {ONE}", TWO]
    fleets = [Bench(bench.plain, settings_of(kafka, step, monkeypatch).kafka.client_options()) for step in steps]
    for number, fleet in enumerate(fleets):
        await fleet.honest(V1.leases, b"%d" % number)
    read = [(await fleet.counted(V1.leases))["getmany"] for fleet in fleets]
    assert read == [[b"0", b"1"], [b"0", b"1", b"2", b"3"], [b"0", b"1", b"2", b"3"], [b"2", b"3"]]


async def test_a_running_fleet_is_switched_on_without_a_stop(
    bench: Bench, kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    off, accept, require = (
        Bench(bench.plain, settings_of(kafka, ONE, monkeypatch, signing=mode).kafka.client_options())
        for mode in ("off", "accept", "require")
    )
    for number, fleet in enumerate((off, accept, require)):
        await fleet.honest(V1.leases, b"%d" % number)
    assert (await off.counted(V1.leases))["getmany"] == [b"0", b"1", b"2"]
    assert (await accept.counted(V1.leases))["getmany"] == [b"0", b"1", b"2"]
    assert (await require.counted(V1.leases))["getmany"] == [b"1", b"2"]


async def test_reading_gets_to_the_end_where_the_last_records_do_not_count(bench: Bench) -> None:
    """A reader that waits for the end of the log must not wait for ever because of a stranger's record there."""
    for _ in range(3):
        await bench.forge(V1.leases, b"unsigned", _HEADERS)
    watch = Stopwatch()
    assert await bench.counted(V1.leases) == {"getmany": [], "fetch": []}
    assert watch.running_s < 25
