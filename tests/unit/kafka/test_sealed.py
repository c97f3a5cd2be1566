"""Nobody reads or writes past the doors of control topics."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.kafka.cluster import cluster_of
from streams.kafka.records import Record
from streams.kafka.sealed import sealed_consumer, sealed_producer, unsealed, verified
from streams.metrics import definitions as metrics
from streams.signing import SIGNATURE
from tests.unit.signing.records import ONE, OTHER, Read, seal_of
from topics.names import V1

ROOT = Path(__file__).parents[3]
_CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"}
_DOORS = {"streams/kafka/sealed.py", "streams/kafka/admin.py", "streams/kafka/provision.py"}
_OF_NO_FLEET = ("ops/bench/", "ops/demo/surroundings.py")


def _made_clients() -> Iterator[str]:
    for folder in ("streams", "ops"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in _DOORS or name.startswith(_OF_NO_FLEET):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLIENTS:
                    yield f"{name}:{node.lineno}"


def test_every_client_of_the_fleet_is_made_at_the_door() -> None:
    assert not list(_made_clients())


@pytest.mark.parametrize("make", [sealed_consumer, sealed_producer])
async def test_without_a_seal_it_is_aiokafkas_own_client(make: Any) -> None:
    client = make(bootstrap_servers="127.0.0.1:1")
    assert type(client) in (AIOKafkaConsumer, AIOKafkaProducer)
    assert cluster_of(client).signed(V1.leases, None, b"", [("a", b"b")]) == [("a", b"b")]


async def test_a_batch_of_a_sealed_producer_is_signed_and_a_plain_client_takes_no_seal() -> None:
    options = {"bootstrap_servers": "127.0.0.1:1", "seal": seal_of(ONE)}
    headers = cluster_of(sealed_producer(**options)).signed(V1.leases, None, b"", [])
    assert [name for name, _ in headers] == [SIGNATURE]
    with pytest.raises(TypeError):
        AIOKafkaProducer(**options)
    assert unsealed(options) == {"bootstrap_servers": "127.0.0.1:1"}


def as_fetched(*records: Read) -> list[Record]:
    """Records as a fetch hands them out; a header without a value, which they may have, is no bytes."""
    return cast("list[Record]", list(records))


async def test_what_does_not_count_is_counted_by_topic_and_said_once_without_its_content(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    consumer = sealed_consumer(bootstrap_servers="127.0.0.1:1", seal=seal_of(ONE))
    partition = TopicPartition(V1.leases, 0)
    counter = metrics.CONTROL_REFUSED.labels(V1.leases)
    before = counter._value.get()
    forged = Read(value=b"the-secret-content").signed(seal_of(OTHER), V1.leases)
    honest = Read().signed(seal_of(ONE), V1.leases)
    for _ in range(50):
        assert list(verified(consumer, partition, as_fetched(forged, honest, Read()))) == as_fetched(honest)
    assert counter._value.get() == before + 100
    said = capsys.readouterr().out + capsys.readouterr().err + caplog.text
    assert said.count("does not count") == 1
    assert "offset" in said
    assert "the-secret-content" not in said
    requests = as_fetched(Read(), forged)
    assert verified(consumer, TopicPartition(V1.requests[0], 0), requests) is requests
