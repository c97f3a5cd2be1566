"""A metric window: a minute of samples merged, of one worker or of the fleet."""

from pydantic import Field

from schemas.message import Count, Identifier, Instant, Message
from schemas.metric_sample import Application, System


class MetricWindow(Message):
    """One minute. The record's key is the worker id, or `fleet`."""

    scope: Identifier = Field(description="A worker id, or `fleet`.")
    start: Instant
    end: Instant
    samples: Count = Field(description="Samples that arrived; fewer than expected means missing data.")
    samples_expected: Count
    workers: Count
    system: System
    application: Application
    provider_limited: bool = False
