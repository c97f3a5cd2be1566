"""A metric window: a minute of samples merged, of one worker or of the fleet.

It covers what happened after `start`, up to and including `end`. A window may be published twice; both are then equal.
"""

from dataclasses import dataclass, field

from pydantic import Field

from schemas.histogram import Histogram
from schemas.message import Count, Identifier, Instant, Message, NonNegative, Share
from schemas.metric_sample import Class, Series
from schemas.response import Status


@dataclass(frozen=True, slots=True)
class WindowSystem:
    """What the processes used. A metric that no sample has is not there."""

    cpu_usage: NonNegative | None = None
    """Share of the cores that a worker can use: mean over time, and over the workers."""
    memory_usage_bytes: Count | None = None
    """Resident memory: the most that a worker had; of the fleet, the sum of these."""
    memory_share: NonNegative | None = None
    """Memory used of what there is: the largest of a worker; of the fleet, the mean of these."""
    network_received_bytes: Count | None = None
    network_sent_bytes: Count | None = None
    disk_read_bytes: Count | None = None
    disk_written_bytes: Count | None = None


@dataclass(frozen=True, slots=True)
class WindowApplication:
    """What the pipeline did. A metric that no sample has is not there."""

    queue_length: NonNegative | None = None
    """Waiting for dispatch in workers: mean over the samples' moments."""
    in_flight: NonNegative = 0.0
    """Given to a provider and not answered: mean over the samples' moments."""
    answered: dict[Status, Count] = field(default_factory=dict)
    """Responses, by status."""
    error_rate: Share | None = None
    """Share of them that are `error` or `expired`; 0 where there are none."""
    throughput_per_s: NonNegative | None = None
    """Responses a second."""
    request_latency: Histogram | None = None
    """From the record's timestamp to the response."""
    series: tuple[Series, ...] = ()
    """The same responses by their tags, in the order of these."""
    lag: dict[Class, NonNegative] | None = None
    """Records that wait in Kafka and that no worker has taken, by class: mean over the samples' moments. Of the fleet only."""
    oldest_wait_s: NonNegative | None = None
    """The longest that a request had waited for dispatch, at any sample; of the fleet, in Kafka too where no worker owns it."""


class MetricWindow(Message):
    """One minute. The record's key is the worker id, or `fleet`."""

    scope: Identifier = Field(description="A worker id, or `fleet`.")
    start: Instant
    end: Instant
    samples: Count = Field(description="Workers' samples that arrived; fewer than expected means missing data.")
    samples_expected: Count
    workers: Count = Field(description="Workers that sent one.")
    system: WindowSystem
    application: WindowApplication
    provider_limited: bool = Field(
        False, description="In more than half of the samples calls waited for a provider's limit."
    )
