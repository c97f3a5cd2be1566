"""[trace]: what is told of a request's way, in its answer and to a collector."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, Field

from streams.settings.base import Section, setting
from streams.settings.units import Count, Flag, Seconds, Share


def _collector(value: str) -> str:
    if not value.startswith(("http://", "https://")) or "@" in value or "?" in value or "#" in value:
        raise ValueError(
            "http:// or https://, host and port, without a password; keys go into OTEL_EXPORTER_OTLP_HEADERS"
        )
    return value


_MOST_PAIRS: Final = 128
SHORTEST_KEY: Final = 8
"""Shorter values of headers are no keys: to scrub them would make the log unreadable."""


def pairs(text: str) -> dict[str, str]:
    """`a=b,c=d`, percent-encoded, as variables of OpenTelemetry write it; what is no pair is left out."""
    found: dict[str, str] = {}
    for pair in text.split(",")[:_MOST_PAIRS]:
        name, separator, value = pair.partition("=")
        if separator and name.strip():
            found[unquote(name.strip())] = unquote(value.strip())
    return found


def collector_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Headers for the collector, of the environment alone: they hold keys."""
    return pairs(environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS") or "")


class TraceExport(Section):
    """Spans to a collector of OpenTelemetry, over OTLP. Headers come from the environment alone (OTEL_EXPORTER_OTLP_HEADERS)."""

    exporter: Literal["none", "otlp"] = setting(
        "none", "`otlp`: requests are told as spans to a collector; needs the extra `headrace[otel]`."
    )
    endpoint: Annotated[str, AfterValidator(_collector)] | None = setting(
        None,
        "Where the collector takes OTLP over HTTP, such as http://127.0.0.1:4318; without it OTEL_EXPORTER_OTLP_ENDPOINT, else "
        "port 4318 of this machine.",
    )
    share: Share = setting(
        "1%", "Share of requests that are told, by their ids; of those whose `traceparent` says sampled, all are."
    )
    slow: Seconds = setting("10s", "Requests that took so long in all are told, sampled or not.", gt=0)
    most_per_second: Count = setting(
        100, "Most requests that a process tells a second; what is beyond it is counted.", ge=1, le=10_000
    )


class Trace(Section):
    """What answers tell of their way."""

    answers: Literal["none", "called", "all"] = setting(
        "called",
        "Which answers have the header `trace`: `called`, all but hits in the cache, which say all there is themselves; `all`.",
    )
    upstream: Flag = setting(
        True, "Whether providers get the `traceparent` and `tracestate` of requests that have them."
    )
    export: TraceExport = Field(default_factory=TraceExport)
