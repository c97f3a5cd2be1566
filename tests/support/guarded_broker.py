"""An Apache Kafka with listeners that want a password, a certificate, both or nothing, and certificates that are wrong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ops.brokers import kafka_jars
from ops.brokers.apache import ApacheBroker
from ops.brokers.base import BrokerError
from ops.brokers.ready import free_ports
from tests.support.acls import DENIES

USER: Final = "worker"
PASSWORD: Final = "a-long-password"
LISTENERS: Final = ("SAFE", "EXPIRED", "FOREIGN", "SIGNED", "OPEN", "TOKEN")
"""SASL_SSL; the same with an expired certificate, one for another host; SSL with client certificates; SASL_PLAINTEXT; SASL_SSL
with client certificates and OAUTHBEARER tokens, which end when they say."""

_PROTOCOLS: Final = {
    "PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", "SAFE": "SASL_SSL", "EXPIRED": "SASL_SSL", "FOREIGN": "SASL_SSL",
    "SIGNED": "SSL", "OPEN": "SASL_PLAINTEXT", "TOKEN": "SASL_SSL",
}  # fmt: skip
_SCRAM_SHA_512: Final = 2
_ITERATIONS: Final = 4096
_TRIES: Final = 3
_TEXT: Final = CompactString("utf-8")


class _Response(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", CompactArray(("user", _TEXT), ("error_code", Int16), ("message", _TEXT), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class _Request(RequestStruct):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", _TEXT), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", _TEXT), ("mechanism", Int8), ("iterations", Int32), ("salt", CompactBytes),
                ("salted_password", CompactBytes), ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )  # fmt: skip


class _SetPassword(Request[_Request]):  # type: ignore[misc]
    """AlterUserScramCredentials (KIP-554)."""

    API_KEY = 51

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password

    def build(self, request_struct_class: Any) -> Any:
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha512", self._password.encode(), salt, _ITERATIONS)
        return request_struct_class([], [(self._user, _SCRAM_SHA_512, _ITERATIONS, salt, salted, {})], {})


@dataclass(slots=True)
class GuardedBroker:
    """The broker, its ports by listener, and the files of its CA and of a client certificate."""

    broker: ApacheBroker
    ports: Mapping[str, int]
    ca_file: Path
    other_ca_file: Path
    client_file: Path
    foreign_client_file: Path
    ca: trustme.CA

    @property
    def plain_options(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.broker.bootstrap_servers}

    def servers(self, listener: str, host: str = "localhost") -> str:
        return f"{host}:{self.ports[listener]}"

    def client_certificate(self, lasts_s: float) -> bytes:
        """Key and chain of a client's certificate that ends after so many seconds, as PEM."""
        now = datetime.now(UTC)
        issued = self.ca.issue_cert(
            "worker@clients.example", not_before=now - timedelta(days=1), not_after=now + timedelta(seconds=lasts_s)
        )
        return _pem(issued)

    async def set_password(self, password: str, user: str = USER) -> None:
        async with AsyncExitStack() as stack:
            admin = AIOKafkaAdminClient(**self.plain_options)
            stack.push_async_callback(admin.close)
            await admin.start()
            client = admin._client
            response = await client.send(client.get_random_node(), _SetPassword(user, password))
            ((_, code, message, _),) = response.results
            assert code == 0, message


def start_guarded(directory: Path, *, reauth_ms: int = 0, **settings: str) -> GuardedBroker:
    """Start it, again where somebody took one of its eight ports meanwhile. `reauth_ms`: how long a session lasts on SAFE."""
    for left in reversed(range(_TRIES)):
        try:
            return _start(directory, reauth_ms, settings)
        except BrokerError:
            if not left:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _start(directory: Path, reauth_ms: int, settings: Mapping[str, str]) -> GuardedBroker:
    ca, other = trustme.CA(), trustme.CA()
    ports = dict(zip((*LISTENERS, "CONTROLLER", "PLAINTEXT"), free_ports(len(LISTENERS) + 2), strict=True))
    now = datetime.now(UTC)
    served = {
        "SAFE": ca.issue_cert("localhost", "127.0.0.1"),
        "EXPIRED": ca.issue_cert("localhost", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)),
        "FOREIGN": ca.issue_cert("kafka.example"),
        "SIGNED": ca.issue_cert("localhost"),
        "TOKEN": ca.issue_cert("localhost"),
    }
    files = {name: directory / f"{name}.pem" for name in ("ca", "other_ca", "client", "foreign_client")}
    ca.cert_pem.write_to_path(files["ca"])
    other.cert_pem.write_to_path(files["other_ca"])
    files["client"].write_bytes(_pem(ca.issue_cert("worker@clients.example")))
    files["foreign_client"].write_bytes(_pem(other.issue_cert("worker@clients.example")))
    listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
    chosen = {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(
            url.replace("127.0.0.1", "localhost") if name in LISTENERS else url
            for name, url in listeners.items()
            if name != "CONTROLLER"
        ),
        "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in _PROTOCOLS.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.token.connections.max.reauth.ms": "3600000",  # the tokens' own time is shorter
        # Unsecured tokens, as Kafka has them for tests (KIP-255): who may make one up is not what is tested.
        "listener.name.token.oauthbearer.sasl.jaas.config": (
            'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        ),
        "listener.name.safe.connections.max.reauth.ms": str(reauth_ms),
    }
    for name in ("signed", "token"):
        chosen[f"listener.name.{name}.ssl.client.auth"] = "required"
        chosen[f"listener.name.{name}.ssl.truststore.type"] = "PEM"
        chosen[f"listener.name.{name}.ssl.truststore.location"] = str(files["ca"])
    for name, certificate in served.items():
        path = directory / f"{name}-server.pem"
        path.write_bytes(_pem(certificate))
        chosen[f"listener.name.{name.lower()}.ssl.keystore.type"] = "PEM"
        chosen[f"listener.name.{name.lower()}.ssl.keystore.location"] = str(path)
    for name in ("safe", "expired", "foreign", "open"):
        chosen[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        )
    broker = ApacheBroker(ports["PLAINTEXT"], settings={**chosen, **settings})
    return GuardedBroker(broker, ports, files["ca"], files["other_ca"], files["client"], files["foreign_client"], ca)


def _pem(certificate: trustme.LeafCert) -> bytes:
    """Key and chain, the key as PKCS #8: Kafka reads no other."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    """Refuses what no ACL allows; of a test file that imports it."""
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started = start_guarded(tmp_path_factory.mktemp("guarded"), reauth_ms=0, **DENIES)
    with started.broker:
        yield started
