"""A metric sample: one worker's last ten seconds."""

from dataclasses import dataclass

from pydantic import Field

from schemas.message import Count, Identifier, Instant, Message, NonNegative, Share


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by upper bound. Two with the same bounds merge by adding their counts.

    `counts` has one more entry than `bounds_ms`: the last one counts what lies above every bound.
    """

    bounds_ms: tuple[NonNegative, ...]
    counts: tuple[Count, ...]
    sum_ms: NonNegative = 0.0


@dataclass(frozen=True, slots=True)
class System:
    """What the process used."""

    cpu_usage: NonNegative
    """Share of one core; 1.5 is one core and a half."""
    memory_usage_bytes: Count
    network_io_bytes: Count
    disk_io_bytes: Count


@dataclass(frozen=True, slots=True)
class Application:
    """What the pipeline did."""

    queue_length: Count
    """Waiting in this worker, at the end of the interval."""
    in_flight: Count
    lag: Count
    """Records in Kafka that this worker has not fetched yet, over its partitions."""
    answered: dict[str, Count]
    """Responses in the interval, by status."""
    error_rate: Share
    throughput_per_s: NonNegative
    request_latency: Histogram


class MetricSample(Message):
    """One worker, one interval. The record's key is the worker id."""

    worker_id: Identifier
    at: Instant = Field(description="End of the interval.")
    interval_s: NonNegative
    system: System
    application: Application
    provider_limited: bool = Field(False, description="Calls waited because a provider's limit was reached.")
