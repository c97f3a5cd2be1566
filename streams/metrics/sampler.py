"""A worker's samples: every interval, at the same moments as everybody's, what it did since the last one."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from schemas.metric_sample import MetricSample
from streams.identity import process_id
from streams.metrics import definitions as metrics
from streams.metrics.period import moment
from streams.metrics.publish import SamplePublisher
from streams.metrics.samples import AnswersSince, WorkerStats, application
from streams.metrics.system import SystemMeter
from streams.metrics.ticks import ticks
from streams.record_clock import RecordClock
from streams.settings.fleet import Metrics

_AT_ONCE_S = 1.0
"""How long the first sample may keep a worker that starts, and the last one a worker that leaves."""


class Sampler:
    """Publishes samples while `run` does. `stats()` tells what is in the worker now; they go to `topic`.

    `producer` is started and stopped by others. `budget_bytes` is the worker's memory budget. `clock` tells the moments of
    samples, and is told the broker's time by their acks.
    """

    def __init__(
        self,
        settings: Metrics,
        producer: AIOKafkaProducer,
        budget_bytes: int,
        stats: Callable[[], WorkerStats],
        topic: str,
        clock: RecordClock,
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._stats = stats
        self._clock = clock
        self._publisher = SamplePublisher(producer, settings.interval, topic, clock)
        self._topic = topic
        self._system = SystemMeter(settings.system.metrics, budget_bytes)
        self._answers = AnswersSince(metrics.RESPONSES)
        self._limited = _limited_waits()
        self._taken_at = time.monotonic()

    async def run(self) -> None:
        """A sample every interval, until cancelled."""
        async for at_ms in ticks(round(self._settings.interval * 1000), self._clock.now):
            await self._publisher.publish(process_id(), self.take(at_ms))

    async def publish_last(self) -> None:
        """Publish what was done since the last sample: what a worker does before it leaves counts too."""
        await self._publish_now()

    async def ask_the_time(self) -> None:
        """Publish a sample before there is anything to tell: its ack tells the broker's time, before the first deadline is
        looked at. Raises nothing; without an ack the wall clock is believed until there is one.
        """
        await self._publish_now()

    async def _publish_now(self) -> None:
        publisher = SamplePublisher(self._producer, _AT_ONCE_S, self._topic, self._clock)
        await publisher.publish(process_id(), self.take(int(self._clock.now() * 1000)))

    def take(self, at_ms: int) -> MetricSample:
        """The sample that ends now; the next one begins."""
        now, before = time.monotonic(), self._taken_at
        self._taken_at, elapsed_s = now, max(0.001, now - before)
        limited, limited_before = _limited_waits(), self._limited
        self._limited = limited
        stats = self._stats()
        return MetricSample(
            worker_id=process_id(),
            at=moment(at_ms),
            interval_s=round(elapsed_s, 3),
            partitions=stats.partitions,
            owned=stats.owned,
            address=stats.address,
            system=self._system.read(elapsed_s),
            application=application(self._answers.take(), stats, elapsed_s, self._settings.application),
            # One that began to wait has gone since, or waits for longer than a sample.
            provider_limited=limited > limited_before or stats.provider_limited,
        )


def _limited_waits() -> float:
    """Calls of all providers that had to wait for a limit, since the start."""
    (family,) = metrics.PROVIDER_LIMITED.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
