"""Tokens and certificates that end while workers run, on a real broker that asks for both: no restart, no error, none lost."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import orjson
import pytest

from ops.brokers import kafka_jars
from ops.processes.fleet import WorkerProcess
from tests.support.fixtures import Measured
from tests.support.guarded_broker import GuardedBroker, start_guarded
from tests.support.logs import troubles
from tests.support.pipeline import Pipeline, fresh_topics, request, send_steadily
from tests.support.simulator import Simulator

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

TOKEN_S = 12.0
CERTIFICATE_S = 25.0
IDLE_S = 8.0
"""After which the broker closes a connection on which nothing is sent: the next one is made with the files as they are then."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started = start_guarded(
        tmp_path_factory.mktemp("guarded"), reauth_ms=0, **{"connections.max.idle.ms": str(round(IDLE_S * 1000))}
    )
    with started.broker:
        yield started


@pytest.fixture
async def pipeline(guarded: GuardedBroker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Pipeline]:
    await fresh_topics(guarded.plain_options)
    async with Simulator(tmp_path) as simulator:
        yield Pipeline(guarded.broker, unique("workers"), tmp_path, simulator)


def token(lasts_s: float) -> str:
    """An unsecured JWT (RFC 7519, 6), which Kafka's own validator for tests takes."""
    now = time.time()

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part({'sub': 'worker', 'iat': now, 'exp': now + lasts_s})}."


def replace(file: Path, content: bytes) -> None:
    """As secrets are rotated: a whole new file in the place of the old one."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


async def test_tokens_and_a_certificate_end_and_nobody_notices(
    guarded: GuardedBroker, pipeline: Pipeline, measured: Measured, tmp_path: Path
) -> None:
    """One worker reads its token from a file, the other from a command."""
    token_file, certificate = tmp_path / "token", tmp_path / "client.pem"
    replace(token_file, token(TOKEN_S).encode())
    replace(certificate, guarded.client_certificate(CERTIFICATE_S))
    ends_at = time.monotonic() + CERTIFICATE_S
    common = {
        "kafka__bootstrap_servers": guarded.servers("TOKEN"),
        "kafka__security_protocol": "SASL_SSL",
        "kafka__sasl_mechanism": "OAUTHBEARER",
        "kafka__tls_ca_file": str(guarded.ca_file),
        "kafka__tls_cert_file": str(certificate),
        "kafka__tls_key_file": str(certificate),
    }
    workers: list[WorkerProcess] = []
    for name, source in (("file", str(token_file)), ("command", ["cat", str(token_file)])):
        settings = tmp_path / f"{name}.toml"
        settings.write_text(pipeline.settings(**common, **{f"kafka__sasl_token_{name}": source}).read_text())
        workers.append(WorkerProcess(name, settings, tmp_path / f"{name}.log"))

    async def renew() -> None:
        while True:
            await asyncio.sleep(TOKEN_S / 3)
            replace(token_file, token(TOKEN_S).encode())

    renewing = asyncio.create_task(renew())
    try:
        for worker in workers:
            await worker.wait_ready(60.0)
        begun = [len(troubles(worker.log_text())) for worker in workers]  # a new broker has no coordinator yet
        async with pipeline.traffic() as traffic:
            await send_steadily(traffic, [request(f"before-{n}") for n in range(100)], 20)
            assert await traffic.wait_answered(60)
            replace(certificate, guarded.client_certificate(3600))
            await asyncio.sleep(max(ends_at + 1 - time.monotonic(), IDLE_S + 2))  # time itself is what is tested
            await send_steadily(traffic, [request(f"after-{n}") for n in range(400)], 20)
            assert await traffic.wait_answered(60)
            summary = traffic.ledger.summary()
        said = [troubles(worker.log_text())[count:] for worker, count in zip(workers, begun, strict=True)]
        alive = [worker.alive for worker in workers]
    finally:
        renewing.cancel()
        for worker in workers:
            await worker.stop()
    measured(
        f"{summary}; tokens of {TOKEN_S:.0f} s and a certificate of {CERTIFICATE_S:.0f} s over {len(workers)} workers"
    )
    assert said == [[], []]
    assert alive == [True, True]
    assert (summary.ok, summary.lost, summary.duplicates) == (500, 0, 0)
