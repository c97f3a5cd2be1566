"""Sessions that brokers end, and a password that is changed while a worker runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.brokers import kafka_jars
from tests.support.fixtures import Measured
from tests.support.guarded_broker import PASSWORD, USER, GuardedBroker, start_guarded
from tests.support.logs import troubles
from tests.support.pipeline import Pipeline, fresh_topics, request, send_steadily
from tests.support.simulator import Simulator
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.chaos

SESSION_S = 10
RATE = 20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started = start_guarded(tmp_path_factory.mktemp("guarded"), reauth_ms=SESSION_S * 1000)
    with started.broker:
        yield started


@pytest.fixture
async def pipeline(guarded: GuardedBroker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Pipeline]:
    await guarded.set_password(PASSWORD)
    await fresh_topics(guarded.plain_options)
    async with Simulator(tmp_path) as simulator:
        yield Pipeline(guarded.broker, unique("workers"), tmp_path, simulator)


def signed_in(guarded: GuardedBroker, password_file: Path) -> dict[str, Any]:
    password_file.write_text(PASSWORD)
    return {
        "kafka__bootstrap_servers": guarded.servers("SAFE"),
        "kafka__security_protocol": "SASL_SSL",
        "kafka__sasl_mechanism": "SCRAM-SHA-512",
        "kafka__sasl_username": USER,
        "kafka__sasl_password_file": str(password_file),
        "kafka__tls_ca_file": str(guarded.ca_file),
    }


@pytest.mark.timeout(180)
async def test_sessions_that_end_are_renewed_without_a_word_and_a_new_password_needs_no_restart(
    guarded: GuardedBroker, pipeline: Pipeline, measured: Measured, tmp_path: Path
) -> None:
    """aiokafka#1105, librdkafka#3293 and kafka_protocol#118 in kind. It was 60 lines in 50 s, and stuck after a rotation."""
    password_file = tmp_path / "password"
    values = [request(f"session-{n}", latency_ms=100) for n in range(RATE * 7 * SESSION_S // 2)]
    async with (
        pipeline.fleet(**signed_in(guarded, password_file)) as fleet,
        pipeline.traffic() as traffic,
    ):
        (worker,) = await fleet.start(1)
        watch = Stopwatch()
        begun = len(troubles(worker.log_text()))  # a new broker has no coordinator yet
        sending = asyncio.create_task(send_steadily(traffic, values, RATE))
        await asyncio.sleep(1.5 * SESSION_S)
        calm = troubles(worker.log_text())[begun:]

        await guarded.set_password("the-next-password")
        await asyncio.sleep(3)
        password_file.write_text("the-next-password\n")
        rotated_at = time.monotonic()
        await sending
        assert await traffic.wait_answered(60)
        await pipeline.wait_all_committed(60)
        assert worker.alive
        text, summary = worker.log_text(), traffic.ledger.summary()
        took_s = time.monotonic() - rotated_at
    measured(f"{summary}; {len(calm)} lines in calm, {len(troubles(text))} in all, {took_s:.0f} s after the rotation")
    if watch.still_s < 0.05 * SESSION_S:  # a client that stands still signs in too late, whoever wrote it
        assert calm == []
    assert (summary.ok, summary.lost, summary.duplicates) == (len(values), 0, 0)
    assert summary.max_ms < 15_000
    assert "the-next-password" not in text
