"""Where the collector is: the settings, and what OpenTelemetry's variables say. Pure, but for certificates that are read.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/: the variable of traces wins over the one of all signals, a setting
over both. Headers have no setting: they hold keys.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from streams.identity import process_id
from streams.settings import SettingsError
from streams.settings.tracing import TraceExport, collector_headers, pairs

_DEFAULT: Final = "http://localhost:4318"
_TIMEOUT_S: Final = 10.0
_MOST_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go, and as what."""

    url: str
    headers: Mapping[str, str]
    timeout_s: float
    gzip: bool
    resource: Mapping[str, str]
    tls: ssl.SSLContext | None = None
    """For https; None: the system's trust."""


def collector_of(settings: TraceExport, process: str, version: str, environ: Mapping[str, str]) -> Collector:
    """`process`: worker or front. SettingsError for what cannot be used."""
    protocol = _of(environ, "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: spans are sent as http/protobuf, which collectors take on port 4318"
        )
    compression = _of(environ, "COMPRESSION")
    if compression not in ("", "gzip", "none"):
        raise SettingsError(f"OTEL_EXPORTER_OTLP_COMPRESSION={compression}: gzip or none")
    url = _url(settings, environ)
    if "@" in url:  # and not repeated
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT: without a password; keys go into OTEL_EXPORTER_OTLP_HEADERS")
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise SettingsError(f"trace.export.endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT: {url!r} is no http(s) URL")
    return Collector(
        url,
        headers_of(environ),
        _timeout_s(_of(environ, "TIMEOUT")),
        compression == "gzip",
        _resource(process, version, environ),
        _tls(environ) if parts.scheme == "https" else None,
    )


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The headers for the collector. SettingsError, which tells none of them, for what HTTP would refuse."""
    found = collector_headers(environ)
    for name, value in found.items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not value.isprintable():
            raise SettingsError(
                "OTEL_EXPORTER_OTLP_HEADERS: name=value pairs with commas between them, percent-encoded"
            )
    return found


def _of(environ: Mapping[str, str], what: str) -> str:
    return (environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}") or environ.get(f"OTEL_EXPORTER_OTLP_{what}") or "").strip()


def _url(settings: TraceExport, environ: Mapping[str, str]) -> str:
    if settings.endpoint is None and (own := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()):
        return own  # as it is: only the variable of all signals is a base
    base = settings.endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or _DEFAULT
    base = base.rstrip("/")
    return base if base.endswith("/v1/traces") else f"{base}/v1/traces"


def _timeout_s(milliseconds: str) -> float:
    if not milliseconds:
        return _TIMEOUT_S
    if not milliseconds.isdecimal() or not int(milliseconds[:9]):
        raise SettingsError(f"OTEL_EXPORTER_OTLP_TIMEOUT={milliseconds[:40]}: milliseconds, above 0")
    return min(int(milliseconds[:9]) / 1000, _MOST_TIMEOUT_S)


def _resource(process: str, version: str, environ: Mapping[str, str]) -> dict[str, str]:
    given = pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environ.get("OTEL_SERVICE_NAME") or given.get("service.name") or f"headrace-{process}"
    return {"service.instance.id": process_id(), "service.version": version, **given, "service.name": name}


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    authority, certificate, key = (
        _of(environ, what) or None for what in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    )
    if authority is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY: {error}") from None
    return context
