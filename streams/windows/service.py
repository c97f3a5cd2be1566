"""What the control process runs: it makes windows while it owns `metrics.samples`-0, and waits while another one does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.app import build_samples_app, unless_refused
from streams.delivery.outbox import Outbox
from streams.kafka.cluster import cluster_of
from streams.metrics import definitions as metrics
from streams.metrics.period import Period
from streams.metrics.publish import SamplePublisher
from streams.metrics.ticks import ticks
from streams.record_clock import RecordClock
from streams.settings import Settings
from streams.supervise import supervised
from streams.transport.consumer import RecordListConsumer
from streams.windows.backlog import BacklogReader
from streams.windows.maker import WindowMaker
from streams.windows.merge import FLEET

log = structlog.get_logger("headrace.windows")


class WindowService:
    """Makes windows inside `async with`. Entering it starts a Faust app of its own, in the group `group_id`.

    `producer` is started and stopped by others. Entering raises KafkaError where the broker cannot be reached, and
    GroupRefusedError where the group takes this process not at all.
    """

    def __init__(self, settings: Settings, group_id: str, producer: AIOKafkaProducer) -> None:
        self.clock = RecordClock()
        """The broker's time, as the acks of this process's samples tell it."""
        self._settings = settings
        self._producer = producer
        self._period = Period(round(settings.metrics.interval * 1000), round(settings.metrics.aggregation * 1000))
        self._outbox = Outbox(cluster_of(producer), settings.kafka.max_batch_bytes, settings.kafka.request_timeout)
        maker = WindowMaker(
            self._outbox, self._period, round(settings.metrics.grace * 1000), settings.topics.names.metric_windows
        )
        self._app = build_samples_app(settings, group_id, producer, maker.accept)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._outbox.stop)
            stack.push_async_callback(self._app.stop)
            await unless_refused(self._app, self._app.start())
            backlog = supervised("backlog", self._sample_backlog)
            stack.push_async_callback(_cancelled, backlog)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def owns(self) -> bool:
        """Whether this process owns the samples: assigned to it, and the group has heard of it within the session timeout."""
        consumer = self._consumer
        if consumer is None or not consumer.assigned.is_set() or not consumer.partitions:
            return False
        return consumer.options.heartbeat.fresh()

    @property
    def ready(self) -> bool:
        """Whether the group has said who owns the samples, and what it gave is read and committed."""
        return self._consumer is not None and self._consumer.moving

    async def wait_ready(self) -> None:
        """Raises GroupRefusedError where the group takes this process not at all."""
        await unless_refused(self._app, self._app.consumer.assigned.wait())

    async def wait_stopped(self) -> None:
        """Returns when the app has stopped by itself; raises what crashed it."""
        await self._app.wait_until_stopped()
        if self._app.crash_reason is not None:
            raise self._app.crash_reason

    @property
    def _consumer(self) -> RecordListConsumer | None:
        consumer: RecordListConsumer | None = self._app.consumer if self._app.started else None
        return consumer

    async def _sample_backlog(self) -> None:
        """A sample of the backlog at each interval while this process owns the samples; without the broker there is none."""
        kafka, names = self._settings.kafka, self._settings.topics.names
        publisher = SamplePublisher(self._producer, self._settings.metrics.interval, names.metric_samples, self.clock)
        while True:
            try:
                async with BacklogReader(kafka.client_options(), kafka.group_id, names) as reader:
                    async for at_ms in ticks(self._period.interval_ms, self.clock.now):
                        if not self.owns:  # the owner shows it: two processes with one figure would be added up
                            metrics.LAG.clear()
                            metrics.OLDEST_SECONDS.set(0)
                            continue
                        sample = await reader.look(at_ms)
                        for priority, lag in sample.lag.items():
                            metrics.LAG.labels(priority).set(lag)
                        metrics.OLDEST_SECONDS.set(sample.oldest_s)
                        await publisher.publish(FLEET, sample)
            except (KafkaError, OSError) as error:
                log.warning("the backlog cannot be looked at now, trying again", error=repr(error))
                await asyncio.sleep(self._settings.metrics.interval)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
