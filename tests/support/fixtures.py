"""Fixtures of everything that runs real workers; the conftest.py of the folders that need them imports them."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ops.brokers import Broker, kafka_jars, start_broker
from tests.support.pipeline import Pipeline, fresh_topics
from tests.support.simulator import Simulator

FULL = os.environ.get("TEST_FULL") == "1"
"""Whether to run the sizes that are promised; the default sizes are smaller, the rates and bars are the same."""


Measured = Callable[[str], None]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """Takes a line that says what a test measured; shown when the test has ended, whether it passed or failed."""
    lines: list[str] = []
    yield lines.append
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    if lines and reporter is not None and capture is not None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line("\n".join(f"{request.node.name}: {line}" for line in lines))


@pytest.fixture(scope="session")
def kafka(broker: Broker) -> Iterator[Broker]:
    """An Apache Kafka of this run for all tests with a pipeline: the run's broker, if it is one that tests may stop."""
    if broker.kind == "apache":
        yield broker
        return
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    with start_broker("apache", progress=print) as started:
        yield started


@pytest.fixture
async def pipeline(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Pipeline]:
    """Fresh topics, a simulator that answers at once, and a group that nobody was in."""
    assert kafka.alive(), f"the broker of this process ended before its tests: {kafka.last_words()}"
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    async with Simulator(tmp_path) as simulator:
        yield Pipeline(kafka, unique("workers"), tmp_path, simulator)
