"""A metric sample: ten seconds of one worker, or what waits in Kafka at one moment.

A metric that the settings leave out is not there. What counts, counts the interval and not since the start, so that samples
add up. Two samples with the same id and `at` are one that was sent twice.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.histogram import Histogram
from schemas.message import Figure, Identifier, Instant, Message, Share, Tally
from schemas.response import Status

Class = Literal["high", "normal", "low"]
"""Priority of a request."""

Component = Literal["intake", "cache", "flow", "providers"]
"""The stage that ended a request: refused it, knew the answer, ran out of time or room for it, or called a provider."""


@dataclass(frozen=True, slots=True)
class System:
    """What the process used."""

    cpu_usage: Figure | None = None
    """Share of `cpu_cores`: 1 is all it can get."""
    cpu_cores: Figure | None = None
    """Cores that the worker can use: one, as it is one event loop, or less where it is given less."""
    memory_usage_bytes: Tally | None = None
    """Resident memory."""
    memory_share: Figure | None = None
    """Memory used of what there is: of the worker's budget, of its cgroup's limit or of the machine, whichever is nearest."""
    network_received_bytes: Tally | None = None
    """In the interval, by the machine or container."""
    network_sent_bytes: Tally | None = None
    disk_read_bytes: Tally | None = None
    """In the interval, by the process; what the page cache answers is not counted."""
    disk_written_bytes: Tally | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Answers of the interval that share their tags. Every answer is in one series."""

    answered: Tally
    component: Component | None = None
    operation: str | None = None
    status: Status | None = None
    request_latency: Histogram | None = None
    """From the record's timestamp to the response."""


@dataclass(frozen=True, slots=True)
class Application:
    """What the pipeline did."""

    in_flight: Tally
    """Given to a provider and not answered, at the end of the interval."""
    taken: dict[Class, Tally]
    """Records taken out of Kafka and not committed yet, by class: Kafka's lag counts them as well."""
    queue_length: Tally | None = None
    """Waiting for dispatch in this worker, at the end of the interval."""
    oldest_wait_s: Figure | None = None
    """Age of the oldest of them; 0 where none waits."""
    answered: dict[Status, Tally] = field(default_factory=dict)
    """Responses in the interval, by status."""
    error_rate: Share | None = None
    """Share of them that are `error` or `expired`. A `rejected` request is its sender's mistake."""
    throughput_per_s: Figure | None = None
    """Responses a second."""
    series: tuple[Series, ...] = ()
    """The same responses by their tags."""


class MetricSample(Message):
    """One worker, one interval. The record's key is the worker id."""

    kind: Literal["worker"] = "worker"
    worker_id: Identifier
    at: Instant = Field(description="End of the interval; a multiple of it on the clock.")
    interval_s: Figure
    partitions: Tally = Field(description="Partition numbers that the worker owns.")
    system: System
    application: Application
    provider_limited: bool = Field(False, description="Calls waited because a provider's limit was reached.")
    http: Annotated[str, Field(max_length=300)] | None = Field(
        None, description="HOST:PORT by which the worker is asked for /agents and /providers."
    )


class BacklogSample(Message):
    """What waits in Kafka, seen from outside by the one that makes the windows. The record's key is `fleet`."""

    kind: Literal["backlog"] = "backlog"
    at: Instant
    partitions: Tally = Field(description="Partition numbers that there are.")
    lag: dict[Class, Tally] = Field(description="Records that are not committed, by class; taken ones are among them.")
    oldest_s: Figure = Field(description="Age of the oldest of them; 0 where there are none.")


METRIC_SAMPLE: TypeAdapter[MetricSample | BacklogSample] = TypeAdapter(
    Annotated[MetricSample | BacklogSample, Field(discriminator="kind")]
)


def parse_metric_sample(value: bytes) -> MetricSample | BacklogSample:
    """Read either kind. Raises pydantic.ValidationError (a ValueError)."""
    return METRIC_SAMPLE.validate_json(value)
