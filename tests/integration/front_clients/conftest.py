"""One broker, one worker and one front for all clients: they are asked by their base URL alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ops.brokers import Broker
from ops.processes.fleet import Fleet, WorkerProcess
from tests.support.fixtures import kafka
from tests.support.pipeline import Pipeline, fresh_topics
from tests.support.simulator import Simulator

__all__ = ["kafka"]

_LISTENS = re.compile(r'"listen":"(http://[^"]+)"')


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def front_url(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a front whose fleet has a simulated provider. Models: `small`, and `slow` which nobody names."""
    directory = tmp_path_factory.mktemp("front_clients")
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    async with Simulator(directory) as simulator:
        pipeline = Pipeline(kafka, f"front-clients-{directory.name}", directory, simulator)
        settings = pipeline.settings(front__listen="127.0.0.1:0")
        process = WorkerProcess("front", settings, directory / "front.log", command="front")
        async with Fleet(settings, directory) as fleet:
            try:
                await fleet.start(1)
                await process.wait_ready()
                listens = _LISTENS.search(process.log_text())
                assert listens is not None
                yield listens[1]
            finally:
                await process.stop()
