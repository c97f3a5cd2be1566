"""Why a broker cannot be reached, in words that say what to change.

The reason is known where the connection is made, and lost on the way: the client says only that it could not bootstrap.
`diagnose` connects once more to find it; `explain_connection` names what an exception means.

TLS alerts: https://www.rfc-editor.org/rfc/rfc8446#section-6. Codes of certificates: https://docs.openssl.org/master/man1/openssl-verification-options/
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
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

from topics.broker_errors import explain_error

_WITHIN_S: Final = 5.0

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


async def diagnose(client_options: Mapping[str, object]) -> str:
    """Connect to each bootstrap address and say what happens there: the cause, or each with its addresses."""
    causes: dict[str, list[str]] = {}
    for host, port, _ in collect_hosts(client_options.get("bootstrap_servers", "localhost:9092")):
        cause = await _try(host, port, client_options)
        causes.setdefault(cause, []).append(f"{host}:{port}")
    if len(causes) == 1:
        return next(iter(causes))
    return "; ".join(f"{', '.join(addresses)}: {cause}" for cause, addresses in causes.items())


async def _try(host: str, port: int, client_options: Mapping[str, object]) -> str:
    options = {name: value for name, value in client_options.items() if name.startswith(("s", "client_id"))}
    connection = None
    try:
        async with asyncio.timeout(_WITHIN_S):
            connection = await create_conn(host, port, request_timeout_ms=round(_WITHIN_S * 1000), **options)
            await connection.send(MetadataRequest([]))
        return "it answers now"
    except Exception as error:
        cause = explain_connection(error)
        closed = isinstance(error, (KafkaConnectionError, ConnectionError, asyncio.IncompleteReadError, TimeoutError))
        if closed and not isinstance(error, ConnectionRefusedError):
            return await _of_a_closed_one(host, port, client_options, connected=connection is not None) or cause
        if isinstance(error, KafkaError | OSError):
            return cause
        return "what answers there is no Kafka broker: check the address and the port"
    finally:
        if connection is not None:
            connection.close()


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
        async with asyncio.timeout(_WITHIN_S):
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
