"""Why a broker cannot be used: each cause is one line that says what to change, against listeners of a real broker."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.brokers import kafka_jars
from ops.brokers.ready import free_ports
from streams.kafka import provision
from streams.kafka.provision import BrokerUnreachableError
from tests.support.guarded_broker import PASSWORD, USER, GuardedBroker, start_guarded
from tests.support.stopwatch import undisturbed
from topics import catalogue

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started = start_guarded(tmp_path_factory.mktemp("guarded"))
    asyncio.run(started.set_password(PASSWORD))
    with started.broker:
        yield started


def trusting(ca_file: Path | None, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def safe(guarded: GuardedBroker, listener: str = "SAFE", **changed: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": guarded.servers(listener),
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": USER,
        "sasl_plain_password": PASSWORD,
        "ssl_context": trusting(guarded.ca_file),
        **changed,
    }


def plain(guarded: GuardedBroker, listener: str) -> dict[str, Any]:
    return {"bootstrap_servers": guarded.servers(listener)}


def sasl(guarded: GuardedBroker, listener: str) -> dict[str, Any]:
    return safe(guarded, listener, security_protocol="SASL_PLAINTEXT")


def tls(guarded: GuardedBroker, listener: str, certificate: Path | None = None) -> dict[str, Any]:
    return {
        "bootstrap_servers": guarded.servers(listener),
        "security_protocol": "SSL",
        "ssl_context": trusting(guarded.ca_file, certificate),
    }


PLAINTEXT_PORT = "PLAINTEXT"

CAUSES: list[tuple[str, Callable[[GuardedBroker], dict[str, Any]], str]] = [
    ("wrong password", lambda g: safe(g, sasl_plain_password="another"), "user name or the password"),
    ("unknown user", lambda g: safe(g, sasl_plain_username="nobody"), "user name or the password"),
    ("mechanism not enabled", lambda g: safe(g, sasl_mechanism="PLAIN"), "kafka.sasl_mechanism is not enabled"),
    ("SCRAM-SHA-256 instead of 512", lambda g: safe(g, sasl_mechanism="SCRAM-SHA-256"), "kafka.sasl_mechanism is not enabled"),
    ("another CA", lambda g: safe(g, ssl_context=trusting(g.other_ca_file)), "set kafka.tls_ca_file"),
    ("the system's CAs", lambda g: safe(g, ssl_context=trusting(None)), "set kafka.tls_ca_file"),
    ("kafka-python#2013: another host name", lambda g: safe(g, "FOREIGN"), "certificate is for another name"),
    ("an expired certificate", lambda g: safe(g, "EXPIRED"), "certificate has expired"),
    ("PLAINTEXT to SASL_SSL", lambda g: plain(g, "SAFE"), "TLS is spoken there"),
    ("PLAINTEXT to SSL", lambda g: plain(g, "SIGNED"), "TLS is spoken there"),
    ("bitnami-docker-kafka#87: PLAINTEXT to SASL_PLAINTEXT", lambda g: plain(g, "OPEN"), "it may want SASL"),
    ("SASL_SSL to PLAINTEXT", lambda g: safe(g, PLAINTEXT_PORT), "no TLS is spoken there"),
    ("SASL_SSL to SASL_PLAINTEXT", lambda g: safe(g, "OPEN"), "no TLS is spoken there"),
    ("SASL_PLAINTEXT to PLAINTEXT", lambda g: sasl(g, PLAINTEXT_PORT), "no SASL is spoken there"),
    ("SASL_PLAINTEXT to SASL_SSL", lambda g: sasl(g, "SAFE"), "TLS is spoken there"),
    ("SSL to SASL_SSL", lambda g: tls(g, "SAFE"), "it may want SASL"),
    ("no client certificate", lambda g: tls(g, "SIGNED"), "kafka.tls_cert_file"),
    ("containers#44218: a foreign client certificate", lambda g: tls(g, "SIGNED", g.foreign_client_file), "client certificate"),
    ("nobody there", lambda g: {"bootstrap_servers": f"127.0.0.1:{free_ports(1)[0]}"}, "nobody listens there"),
    ("a name that DNS does not know", lambda g: {"bootstrap_servers": "kafka.invalid:9092"}, "not known to DNS"),
]  # fmt: skip


@pytest.mark.parametrize(("options_of", "words"), [case[1:] for case in CAUSES], ids=[case[0] for case in CAUSES])
async def test_a_cause_is_one_line_that_says_what_to_change(
    guarded: GuardedBroker, options_of: Callable[[GuardedBroker], dict[str, Any]], words: str
) -> None:
    options = options_of(guarded)

    async def refused() -> str:
        with pytest.raises(BrokerUnreachableError) as caught:
            await provision.check(options, catalogue(4))
        return str(caught.value)

    line = await undisturbed(refused)  # a check that stands still for seconds is only told that its time is over
    assert words in line
    assert str(options["bootstrap_servers"]) in line
    assert "\n" not in line
    assert PASSWORD not in line


async def test_what_is_right_goes_through(guarded: GuardedBroker) -> None:
    await provision.apply(guarded.plain_options, catalogue(2))
    for options in (safe(guarded), tls(guarded, "SIGNED", guarded.client_file)):
        report = await provision.check(options, catalogue(2))
        assert not report.differences


async def test_a_server_of_another_kind_is_named_as_such() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnreachableError, match="no Kafka broker"):
            await provision.check({"bootstrap_servers": f"127.0.0.1:{port}"}, catalogue(2))
