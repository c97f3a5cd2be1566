"""Why a broker cannot be reached, in words that say what to change.

The reason is known where the connection is made, and lost on the way: the client says only that it could not bootstrap, and takes
minutes for it where a broker is silent. `ask_all` connects to every bootstrap address by itself; `explain_connection` names what
an exception means.

TLS alerts: https://www.rfc-editor.org/rfc/rfc8446#section-6. Codes of certificates: https://docs.openssl.org/master/man1/openssl-verification-options/
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    CorrelationIdError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.kafka.sealed import unsealed
from topics.broker_errors import explain_error

_WITHIN_S: Final = 3.5
_OTHERS_WITHIN_S: Final = 1.0
_HANDSHAKE_WITHIN_S: Final = 1.5
"""All in all, a command has said within 10 s why it cannot do its work."""

_NOT_YET_VALID, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64

_ALERTS: Final = (
    ("CERTIFICATE_REQUIRED", "the broker wants a client certificate: set kafka.tls_cert_file and kafka.tls_key_file"),
    ("CERTIFICATE_EXPIRED", "the broker says that our client certificate has expired: renew kafka.tls_cert_file"),
    ("UNKNOWN_CA", "the broker does not trust our client certificate: its CA is not in the broker's trust store"),
    ("BAD_CERTIFICATE", "the broker does not take our client certificate: check kafka.tls_cert_file, or set one"),
    ("CERTIFICATE_UNKNOWN", "the broker does not take our client certificate: check its CA and its dates"),
    ("CERTIFICATE_REVOKED", "the broker says that our client certificate is revoked: renew kafka.tls_cert_file"),
    ("HANDSHAKE_FAILURE", "no TLS version or cipher in common with the broker, or it wants a client certificate"),
    ("PROTOCOL_VERSION", "no TLS version in common with the broker"),
)
_NO_TLS: Final = (
    "no TLS is spoken there: kafka.security_protocol must be PLAINTEXT or SASL_PLAINTEXT, or the port is another "
    "listener's"
)
_TLS: Final = "TLS is spoken there: kafka.security_protocol must be SSL or SASL_SSL, or the port is another listener's"
_SIGN_IN: Final = (
    "the broker does not take the user name or the password: check kafka.sasl_username, and the file or variable that "
    "holds the password"
)


def explain_connection(error: BaseException) -> str:
    """The cause and what to change, in one line."""
    for each in _chain(error):
        found = _cause(each)
        if found is not None:
            return found
    return explain_error(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, the cause first."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        each = each.__cause__ or each.__context__
    yield from reversed(seen)


def _cause(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error)
    if isinstance(error, ssl.SSLError):
        return _tls(error)
    if isinstance(error, UnsupportedSaslMechanismError):
        return "kafka.sasl_mechanism is not enabled on that listener: choose one that is (sasl.enabled.mechanisms)"
    if isinstance(error, IllegalSaslStateError):
        return "no SASL is spoken there: kafka.security_protocol must be one without SASL_, or the port is another listener's"
    if isinstance(error, AuthenticationFailedError) or getattr(error, "errno", None) == 58:
        return _SIGN_IN
    if isinstance(error, socket.gaierror):
        return (
            f"the name is not known to DNS ({error.strerror}): check kafka.bootstrap_servers and advertised.listeners"
        )
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there: does the broker run, and is the port right?"
    if isinstance(error, TimeoutError):
        return "no answer in time: is the broker up, and is the way there open (firewall, network policy)?"
    if isinstance(error, CorrelationIdError):
        return "what answers there is no Kafka broker: check the address and the port"
    return None


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        return (
            f"the broker's certificate is for another name ({error.verify_message.strip()}): use a name that it has in "
            "kafka.bootstrap_servers and advertised.listeners, or give it this one"
        )
    if error.verify_code == _EXPIRED:
        return "the broker's certificate has expired: renew it (or this machine's clock is wrong)"
    if error.verify_code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet: is this machine's clock right?"
    return f"the broker's certificate is not trusted ({error.verify_message}): set kafka.tls_ca_file to the CA that signed it"


def _tls(error: ssl.SSLError) -> str:
    text = f"{error.reason or ''} {error}".upper().replace(" ", "_")
    for alert, cause in _ALERTS:
        if alert in text:
            return cause
    if "WRONG_VERSION_NUMBER" in text or "UNEXPECTED_EOF" in text or "RECORD_LAYER_FAILURE" in text:
        return _NO_TLS
    return f"TLS failed: {error.reason or error}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a bootstrap address said: the id of its cluster (None where a broker is too old to tell), or why it cannot be used."""

    address: str
    cluster_id: str | None = None
    cause: str | None = None


async def ask_all(client_options: Mapping[str, object]) -> list[Asked]:
    """Connect to each bootstrap address, all at the same time, sign in and ask for the cluster. Takes 5 s at most, and a second
    once one has answered.
    """
    bounds: list[asyncio.Timeout] = []
    hosts = collect_hosts(client_options.get("bootstrap_servers", "localhost:9092"), randomize=False)
    return list(await asyncio.gather(*(_ask(host, port, client_options, bounds) for host, port, _ in hosts)))


def causes_of(asked: Iterable[Asked]) -> str:
    """Why none can be used: the cause, or each with its addresses. Pure.

    >>> causes_of([Asked("a:1", cause="no"), Asked("b:1", cause="no")])
    'no'
    >>> causes_of([Asked("a:1", cause="no"), Asked("b:1")])
    'a:1: no; b:1: it answers now'
    """
    causes: dict[str, list[str]] = {}
    for each in asked:
        causes.setdefault(each.cause or "it answers now", []).append(each.address)
    if len(causes) == 1:
        return next(iter(causes))
    return "; ".join(f"{', '.join(addresses)}: {cause}" for cause, addresses in causes.items())


def wrong_cluster(asked: Iterable[Asked], wanted: str | None) -> str | None:
    """The fault in one line where an address leads to another cluster than the one wanted, or than the others do. Pure.

    >>> wrong_cluster([Asked("a:1", "X"), Asked("b:1", "X"), Asked("c:1", cause="no")], None)
    >>> wrong_cluster([Asked("a:1", "X"), Asked("b:1", "Y")], None)
    'kafka.bootstrap_servers names brokers of different clusters: a:1 is of X, b:1 is of Y; name those of one'
    >>> wrong_cluster([Asked("a:1", "X")], "Y")
    'a:1 is of the Kafka cluster X, kafka.cluster_id wants Y: is kafka.bootstrap_servers another environment\'s?'
    """
    known = {each.address: each.cluster_id for each in asked if each.cluster_id is not None}
    if wanted is not None and (others := {at: found for at, found in known.items() if found != wanted}):
        at, found = next(iter(others.items()))
        return (
            f"{at} is of the Kafka cluster {found}, kafka.cluster_id wants {wanted}: "
            "is kafka.bootstrap_servers another environment's?"
        )
    if len(set(known.values())) > 1:
        each_of = ", ".join(f"{at} is of {found}" for at, found in known.items())
        return f"kafka.bootstrap_servers names brokers of different clusters: {each_of}; name those of one"
    return None


async def _ask(host: str, port: int, client_options: Mapping[str, object], bounds: list[asyncio.Timeout]) -> Asked:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = {name: value for name, value in unsealed(client_options).items() if name.startswith(("s", "client_id"))}
    connection = None
    try:
        async with asyncio.timeout(_WITHIN_S) as bound:
            bounds.append(bound)
            connection = await create_conn(host, port, request_timeout_ms=round(_WITHIN_S * 1000), **options)
            answer = await connection.send(MetadataRequest([]))
            _hurry(bounds)
        return Asked(address, getattr(answer, "cluster_id", None))
    except Exception as error:
        return Asked(
            address, cause=await _cause_of(error, host, port, client_options, connected=connection is not None)
        )
    finally:
        if connection is not None:
            connection.close()


def _hurry(bounds: Iterable[asyncio.Timeout]) -> None:
    """One has answered, the others are waited for a moment longer: a broker that is down must not delay everything."""
    soon = asyncio.get_running_loop().time() + _OTHERS_WITHIN_S
    for each in bounds:
        when = each.when()
        if when is not None and when > soon and not each.expired():
            with contextlib.suppress(RuntimeError):  # it has ended
                each.reschedule(soon)


async def _cause_of(
    error: Exception, host: str, port: int, client_options: Mapping[str, object], *, connected: bool
) -> str:
    cause = explain_connection(error)
    closed = isinstance(error, (KafkaConnectionError, ConnectionError, asyncio.IncompleteReadError, TimeoutError))
    if closed and not isinstance(error, ConnectionRefusedError):
        return await _of_a_closed_one(host, port, client_options, connected=connected) or cause
    if isinstance(error, KafkaError | OSError):
        return cause
    return "what answers there is no Kafka broker: check the address and the port"


async def _of_a_closed_one(
    host: str, port: int, client_options: Mapping[str, object], *, connected: bool
) -> str | None:
    """The broker closed the connection without a word, or keeps silent: it may expect something else."""
    protocol = str(client_options.get("security_protocol", "PLAINTEXT"))
    if protocol in ("SSL", "SASL_SSL") and await _speaks_tls(host, port) is False:
        return _NO_TLS
    if not connected and not protocol.endswith("SSL") and await _speaks_tls(host, port):
        return _TLS
    if connected and not protocol.startswith("SASL_"):
        return "the broker closed the connection at the first request: it may want SASL (kafka.security_protocol)"
    return None


async def _speaks_tls(host: str, port: int) -> bool | None:
    """Whether a TLS handshake gets anywhere, whatever the certificate; None where that is not known."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_HANDSHAKE_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in str(error).upper() and "WRONG_VERSION" not in str(error).upper()
    except ConnectionRefusedError:
        return None
    except OSError:
        return False
    except TimeoutError:
        return None
    writer.close()
    with contextlib.suppress(Exception):
        await writer.wait_closed()
    return True
