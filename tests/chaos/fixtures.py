"""Fixtures of everything that runs real workers; conftest.py and tests/integration/test_pipeline*.py import them."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ops.brokers import Broker, kafka_jars, start_broker
from tests.chaos.pipeline import Pipeline, fresh_topics
from tests.chaos.simulator import Simulator

MEASURED = "measured"

FULL = os.environ.get("HEADRACE_FULL") == "1"
"""Whether to run the sizes that are promised; the default sizes are smaller, the rates and bars are the same."""


Measured = Callable[[str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Takes a line that says what a test measured; shown at the end of the run."""
    return lambda line: record_property(MEASURED, line)


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    """An Apache Kafka for the tests of one module."""
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    with start_broker("apache", progress=print) as started:
        yield started


@pytest.fixture
async def pipeline(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Pipeline]:
    """Fresh topics, a simulator that answers at once, and a group that nobody was in."""
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    async with Simulator(tmp_path) as simulator:
        yield Pipeline(kafka, unique("workers"), tmp_path, simulator)
