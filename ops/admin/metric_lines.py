"""Metric windows and samples as a line for people; for programs there is `--json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from schemas.histogram import Histogram
from schemas.metric_sample import BacklogSample, MetricSample, parse_metric_sample
from schemas.metric_window import MetricWindow
from streams.metrics.histogram import merge, quantile
from topics.names import METRIC_SAMPLES, METRIC_WINDOWS

_SHOWN: Final = (0.5, 0.95, 0.99)


def describe(topic: str, value: bytes) -> str | None:
    """The value of a record of a metric topic in words; None for other topics, and for what is no metric."""
    read = next((read for name, read in _READERS.items() if topic.endswith(name)), None)  # behind any fleet's prefix
    try:
        return None if read is None else read(value)
    except ValidationError:
        return None


def _window(value: bytes) -> str:
    window = MetricWindow.model_validate_json(value)
    application, system = window.application, window.system
    until = f"{window.start:%H:%M:%S}-{window.end:%H:%M:%S}"
    samples = f"{window.samples}/{window.samples_expected} samples"
    return _joined(
        f"{until}  {samples}" if window.scope != "fleet" else f"{until}  {window.workers} workers, {samples}",
        _answers(application.throughput_per_s, application.answered, application.error_rate),
        _latency(application.request_latency),
        _figure("waiting", application.queue_length),
        _figure("lag", None if application.lag is None else sum(application.lag.values())),
        _figure("oldest", application.oldest_wait_s, " s"),
        _figure("in flight", application.in_flight),
        _usage(system.cpu_usage, system.memory_share),
        "provider limited" if window.provider_limited else None,
    )


def _sample(value: bytes) -> str:
    sample = parse_metric_sample(value)
    if isinstance(sample, BacklogSample):
        return _joined(f"{sample.at:%H:%M:%S}", _by_name("lag", sample.lag), _figure("oldest", sample.oldest_s, " s"))
    return _joined(f"{sample.at:%H:%M:%S}", *_worker(sample))


def _worker(sample: MetricSample) -> Iterable[str | None]:
    application, system = sample.application, sample.system
    yield _answers(application.throughput_per_s, application.answered, application.error_rate)
    yield _latency(merge(each.request_latency for each in application.series if each.request_latency is not None))
    yield _figure("waiting", application.queue_length)
    yield _figure("oldest", application.oldest_wait_s, " s")
    yield _figure("in flight", application.in_flight)
    yield _usage(system.cpu_usage, system.memory_share)
    yield "provider limited" if sample.provider_limited else None


def _answers(per_s: float | None, answered: Mapping[Any, int], error_rate: float | None) -> str | None:
    parts = [] if per_s is None else [f"{per_s:.1f}/s"]
    parts += [f"{status} {count}" for status, count in sorted(answered.items(), reverse=True)]
    parts += [f"({error_rate:.2%} failed)"] if error_rate else []
    return " ".join(parts) or None


def _latency(latency: Histogram | None) -> str | None:
    if latency is None or not latency.counts:
        return None
    return " ".join(f"p{q * 100:.0f} {_duration(quantile(latency, q) or 0.0)}" for q in _SHOWN)


def _duration(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def _usage(cpu: float | None, memory: float | None) -> str | None:
    return (
        " ".join(f"{name} {share:.0%}" for name, share in (("cpu", cpu), ("mem", memory)) if share is not None) or None
    )


def _figure(name: str, value: float | None, unit: str = "") -> str | None:
    return None if value is None else f"{name} {value:.1f}{unit}".replace(".0", "", 1)


def _by_name(name: str, counts: Mapping[Any, int]) -> str:
    return f"{name} " + ", ".join(f"{each} {count}" for each, count in counts.items())


def _joined(*parts: str | None) -> str:
    return "  ".join(part for part in parts if part)


_READERS: Final[Mapping[str, Callable[[bytes], str]]] = {METRIC_WINDOWS: _window, METRIC_SAMPLES: _sample}
