"""[kafka]: the broker, the group, and how much travels at once."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from schemas import limits
from streams.settings.base import Section, conflict, setting
from streams.settings.errors import SettingsError
from streams.settings.secrets import EnvName, SecretFile, password, secret_from_env
from streams.settings.units import Bytes, Seconds

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def _addresses(value: str) -> str:
    for address in value.split(","):
        if not re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):[0-9]{1,5}", address.strip()):
            raise ValueError("HOST:PORT, several of them separated by commas")
    return value


class Kafka(Section):
    """The broker, the consumer group, commits, and the sizes of fetches and batches."""

    bootstrap_servers: Annotated[str, AfterValidator(_addresses)] = setting(
        "127.0.0.1:9092", "Brokers to ask first, HOST:PORT, separated by commas."
    )
    client_id: str = setting("headrace", "Name under which the broker logs and limits this client.", min_length=1)
    group_id: str = setting("headrace-workers", "Consumer group that the workers form.", min_length=1)
    session_timeout: Seconds = setting("6s", "A worker silent for so long loses its partitions.", ge=1, le=1800)
    heartbeat_interval: Seconds = setting("1s", "How often a worker tells the group that it lives.", ge=0.1)
    rebalance_timeout: Seconds = setting("20s", "How long a rebalance waits for a worker to join again.", ge=1)
    max_poll_interval: Seconds = setting("5m", "A worker that takes no records for so long leaves the group.", ge=1)
    drain_deadline: Seconds = setting("10s", "On SIGTERM, how long calls under way may still finish.", le=3600)
    commit_interval: Seconds = setting("1s", "How often finished records are committed.", ge=0.01, le=60)
    commit_delay_after_call: Seconds = setting(
        "100ms", "How soon after a paid call its record is committed, so that a crash does not pay twice.", ge=0.001
    )
    request_timeout: Seconds = setting("30s", "How long one request to the broker may take.", ge=1)
    fetch_max_wait: Seconds = setting("100ms", "How long the broker holds a fetch that has nothing to give.", ge=0.001)
    fetch_max_bytes: Bytes = setting("8MB", "Most bytes of one fetch, over all partitions.", ge=1024, le=2**30)
    partition_fetch_bytes: Bytes = setting(
        "256KB",
        "Most bytes of one fetch from one partition, and so what may wait of a paused one; a larger record comes alone.",
        ge=1024,
        le=2**31 - 1,
    )
    max_unpacked_bytes: Bytes = setting(
        "16MiB",
        "Most bytes that a compressed batch may unpack to; of a larger one, dead letters say its offsets, without its values.",
        ge=2 * limits.MIB,
        le=2**30,
    )
    corrupt_batches: Literal["stand", "set_aside"] = setting(
        "stand",
        "A batch that two fetches find corrupt: `stand`, its partition waits; `set_aside`, it goes on, with dead letters.",
    )
    linger: Seconds = setting("2ms", "How long the producer waits for company before it sends a batch.", le=1)
    max_batch_bytes: Bytes = setting("256KB", "Most bytes of one batch of the producer.", ge=1024)
    max_request_bytes: Bytes = setting(
        "2MiB",
        "Largest record the producer sends; it holds the largest answer and the largest dead letter.",
        ge=1024,
        le=limits.ANSWER_RECORD_BYTES,
    )
    security_protocol: SecurityProtocol = setting("PLAINTEXT", "How the broker is spoken to.")
    sasl_mechanism: SaslMechanism = setting("PLAIN", "How a worker proves who it is, where SASL is on.")
    sasl_username: str | None = setting(None, "User name for SASL.", min_length=1)
    sasl_password_env: EnvName | None = setting(None, "Name of the environment variable that holds the SASL password.")
    sasl_password_file: Path | None = setting(
        None,
        "File that holds the SASL password; it is read again for each sign-in, so that a new one needs no restart.",
    )
    tls_ca_file: Path | None = setting(None, "Certificates to trust instead of the system's (PEM).")
    tls_cert_file: Path | None = setting(None, "Client certificate for mutual TLS (PEM).")
    tls_key_file: Path | None = setting(None, "Key of the client certificate (PEM).")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.heartbeat_interval * 2 > self.session_timeout:
            raise conflict(
                "heartbeat_interval must be at most half of session_timeout, or one lost heartbeat loses partitions",
                "heartbeat_interval",
                "session_timeout",
            )
        if self.partition_fetch_bytes > self.fetch_max_bytes:
            raise conflict(
                "partition_fetch_bytes must be at most fetch_max_bytes", "partition_fetch_bytes", "fetch_max_bytes"
            )
        if self.max_batch_bytes > self.max_request_bytes:
            raise conflict("max_batch_bytes must be at most max_request_bytes", "max_batch_bytes", "max_request_bytes")
        if self.sasl_password_env is not None and self.sasl_password_file is not None:
            raise conflict(
                "sasl_password_env and sasl_password_file exclude each other", "sasl_password_env", "sasl_password_file"
            )
        has_password = self.sasl_password_env is not None or self.sasl_password_file is not None
        if self.security_protocol.startswith("SASL_") and not (self.sasl_username and has_password):
            raise conflict(
                f"security_protocol {self.security_protocol} needs sasl_username and one of sasl_password_env, "
                "sasl_password_file",
                "security_protocol",
            )
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise conflict("tls_cert_file and tls_key_file go together", "tls_cert_file", "tls_key_file")
        return self

    def sasl_password(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The SASL password, read now from where the settings say; None without SASL. Raises SettingsError."""
        if not self.security_protocol.startswith("SASL_"):
            return None
        if self.sasl_password_env is not None:
            return secret_from_env("kafka.sasl_password_env", self.sasl_password_env, password, environ)
        if self.sasl_password_file is not None:
            return SecretFile.read("kafka.sasl_password_file", self.sasl_password_file, password)
        return None

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS. Raises SettingsError for certificate files that cannot be used."""
        if self.security_protocol not in ("SSL", "SASL_SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file)
            if self.tls_cert_file is not None:
                context.load_cert_chain(self.tls_cert_file, self.tls_key_file)
        except OSError as error:  # ssl.SSLError is one of them
            raise SettingsError(
                f"kafka.tls_ca_file, tls_cert_file or tls_key_file cannot be used: {error.strerror or error}"
            ) from None
        return context

    def client_options(self, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Arguments that aiokafka's consumer, producer and admin client all take. Raises SettingsError for secrets."""
        options: dict[str, Any] = {
            "bootstrap_servers": [address.strip() for address in self.bootstrap_servers.split(",")],
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout * 1000),
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL_"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password(environ),
            }
        return options
