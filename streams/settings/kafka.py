"""[kafka]: the broker, the group, and how much travels at once."""

import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, PrivateAttr, model_validator

from schemas import limits
from streams.settings.base import Section, conflict, setting
from streams.settings.errors import SettingsError
from streams.settings.secrets import EnvName, SecretFile, api_key, password, secret_from_env
from streams.settings.tls import RotatingContext
from streams.settings.tokens import TokenSource
from streams.settings.units import Bytes, Seconds
from streams.signing import Seal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


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
    cluster_id: str | None = setting(
        None,
        "Id of the cluster that is meant, as `kafka-cluster.sh cluster-id` prints it; with another one nothing starts.",
        min_length=1,
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
    fetch_max_wait: Seconds = setting(
        "100ms",
        "How long the broker holds a fetch that has nothing to give; 500ms at least once nothing has come for 20 of them.",
        ge=0.001,
    )
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
    fetch: Literal["sessions", "plain"] = setting(
        "sessions",
        "How workers fetch: `sessions`, the quick way; `plain`, by the client library's public interface alone: a way out if an "
        "upgrade of it breaks the other.",
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
    sasl_token_file: Path | None = setting(
        None,
        "File that holds the token of OAUTHBEARER; it is read again for each sign-in, whoever writes it keeps it fresh.",
    )
    sasl_token_command: list[str] = setting(
        [],
        "Program, with its arguments, that prints a token of OAUTHBEARER within 10 s. It is run again when most of the token's "
        "time is over (its `exp`), or after 30 s.",
        max_length=64,
    )
    tls_ca_file: Path | None = setting(None, "Certificates to trust instead of the system's (PEM).")
    tls_cert_file: Path | None = setting(None, "Client certificate for mutual TLS (PEM).")
    tls_key_file: Path | None = setting(None, "Key of the client certificate (PEM).")

    _seal: Callable[[Mapping[str, str] | None], Seal] | None = PrivateAttr(None)

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
        self._agree_on_signing_in()
        has_password = self.sasl_password_env is not None or self.sasl_password_file is not None
        by_password = self.security_protocol.startswith("SASL_") and self.sasl_mechanism != "OAUTHBEARER"
        if by_password and not (self.sasl_username and has_password):
            raise conflict(
                f"security_protocol {self.security_protocol} needs sasl_username and one of sasl_password_env, "
                "sasl_password_file",
                "security_protocol",
            )
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise conflict("tls_cert_file and tls_key_file go together", "tls_cert_file", "tls_key_file")
        return self

    def _agree_on_signing_in(self) -> None:
        has_token = self.sasl_token_file is not None or bool(self.sasl_token_command)
        if self.sasl_token_file is not None and self.sasl_token_command:
            raise conflict(
                "sasl_token_file and sasl_token_command exclude each other", "sasl_token_file", "sasl_token_command"
            )
        if self.sasl_mechanism != "OAUTHBEARER":
            if has_token:
                raise conflict("a token is of sasl_mechanism OAUTHBEARER alone", "sasl_mechanism")
            return
        if not self.security_protocol.startswith("SASL_"):
            raise conflict("sasl_mechanism OAUTHBEARER needs security_protocol SASL_SSL", "security_protocol")
        if not has_token:
            raise conflict(
                "sasl_mechanism OAUTHBEARER needs one of sasl_token_file, sasl_token_command", "sasl_mechanism"
            )
        if self.sasl_username or self.sasl_password_env is not None or self.sasl_password_file is not None:
            raise conflict(
                "sasl_mechanism OAUTHBEARER takes a token, no sasl_username and no password", "sasl_mechanism"
            )

    def sasl_token(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The token that the file holds now; None without one. Raises SettingsError."""
        if self.sasl_token_file is None:
            return None
        return SecretFile.read("kafka.sasl_token_file", self.sasl_token_file, api_key)

    def sasl_password(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The SASL password, read now from where the settings say; None without SASL. Raises SettingsError."""
        if not self.security_protocol.startswith("SASL_") or self.sasl_mechanism == "OAUTHBEARER":
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
            return RotatingContext.of(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
        except OSError as error:  # ssl.SSLError is one of them
            raise SettingsError(
                f"kafka.tls_ca_file, tls_cert_file or tls_key_file cannot be used: {error.strerror or error}"
            ) from None

    def sealed_by(self, seal: Callable[[Mapping[str, str] | None], Seal]) -> Self:
        """The same section for a fleet that signs: its clients bear a seal. The fleet's settings know how it is made."""
        made = self.model_copy()
        made._seal = seal  # noqa: SLF001 - of a copy of this very object
        return made

    def client_options(self, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Arguments of consumers, producers and admin clients, to be made by streams/kafka: aiokafka takes them all but `seal`,
        which is there where the fleet signs, and `cluster_id` (streams/kafka/sealed.py). Raises SettingsError for secrets.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": [address.strip() for address in self.bootstrap_servers.split(",")],
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout * 1000),
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL_") and self.sasl_mechanism == "OAUTHBEARER":
            token = self.sasl_token()
            file = token if isinstance(token, SecretFile) else None
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_oauth_token_provider": TokenSource(file, tuple(self.sasl_token_command)),
            }
        elif self.security_protocol.startswith("SASL_"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password(environ),
            }
        if self.cluster_id is not None:
            options["cluster_id"] = self.cluster_id
        if self._seal is not None:
            options["seal"] = self._seal(environ)
        return options
