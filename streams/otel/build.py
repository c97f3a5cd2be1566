"""Exports, as the settings want them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version

from streams.otel.context import Contexts
from streams.otel.environment import collector_of
from streams.otel.exporter import Exporter
from streams.otel.facts import Served, Told
from streams.otel.front_spans import front_spans_of
from streams.otel.sender import Sender
from streams.otel.spans import ModelNames, Span, spans_of
from streams.otel.teller import Rate, Teller
from streams.settings import Settings, SettingsError

_MISSING = "trace.export.exporter = \"otlp\" needs a package that is not installed: pip install 'headrace[otel]'"


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a process does with trace context. `exporter` None: it tells no spans, and passes on what came."""

    contexts: Contexts
    exporter: Exporter | None
    rate: Rate
    slow_s: float

    def teller(self) -> Teller | None:
        """Whom a worker tells its ends; None where nothing is told."""
        return None if self.exporter is None else Teller(self.contexts, self.exporter, self.slow_s, self.rate)


async def open_tracing(
    settings: Settings, process: str, stack: AsyncExitStack, environ: Mapping[str, str] = os.environ
) -> Tracing:
    """What the settings ask for; what is queued at the end of the stack is sent then, for two seconds at most.

    SettingsError where the package is missing, or the collector cannot be what they say.
    """
    own = settings.trace.export
    exports = own.exporter == "otlp" and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    contexts = Contexts(own.share, secrets.randbits(64), exports=exports, upstream=settings.trace.upstream)
    exporter = _exporter(settings, process, environ) if exports else None
    if exporter is not None:
        exporter.start()
        stack.push_async_callback(exporter.stop)
    return Tracing(contexts, exporter, Rate(own.most_per_second, time.monotonic()), own.slow)


def _exporter(settings: Settings, process: str, environ: Mapping[str, str]) -> Exporter:
    try:
        from streams.otel import wire
    except ImportError as error:
        raise SettingsError(_MISSING) from error
    ours = version("headrace")
    collector = collector_of(settings.trace.export, process, ours, environ)
    told = _spans(settings)

    def encode(batch: Sequence[Told]) -> bytes:
        return wire.encode([span for each in batch for span in told(each)], collector.resource, ours)

    return Exporter(Sender(collector), encode, wire.refused_of)


def _spans(settings: Settings) -> Callable[[Told], list[Span]]:
    models, semconv, group = ModelNames(), settings.metrics.semconv, settings.kafka.group_id

    def spans(told: Told) -> list[Span]:
        return front_spans_of(told, semconv) if isinstance(told, Served) else spans_of(told, models, semconv, group)

    return spans
