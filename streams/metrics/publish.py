"""Samples on their way to `metrics.samples`."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.metric_sample import BacklogSample, MetricSample
from streams.identity import process_id
from streams.metrics import definitions as metrics
from streams.record_clock import RecordClock
from topics.headers import message_headers

_LOG_APPEND_TIME: Final = 1

log = structlog.get_logger("headrace.samples")


class SamplePublisher:
    """Sends samples to `topic` and waits for the ack, `within_s` at most. What is not taken is lost, and its window tells.

    `clock` is told what the acks say of the broker's time.
    """

    def __init__(self, producer: AIOKafkaProducer, within_s: float, topic: str, clock: RecordClock) -> None:
        self._topic = topic
        self._producer = producer
        self._within_s = within_s
        self._clock = clock
        self._losing = False

    async def publish(self, key: str, sample: MetricSample | BacklogSample) -> None:
        """Send one. Raises nothing."""
        source = f"/headrace/{process_id()}"
        event_id = f"{key}-{sample.at.timestamp():.0f}"
        headers = message_headers("metric_sample", event_id=event_id, source=source, time=sample.at)
        sent = self._clock.running()
        try:
            async with asyncio.timeout(self._within_s):
                written = await self._producer.send_and_wait(
                    self._topic, sample.to_json(), key.encode(), partition=0, headers=headers
                )
        except (KafkaError, TimeoutError) as error:
            metrics.SAMPLES_SENT.labels("failed").inc()
            if not self._losing:  # once, until one is taken again
                self._losing = True
                log.warning("metric samples are lost now; they count as headrace_samples_total", error=repr(error))
            return
        metrics.SAMPLES_SENT.labels("ok").inc()
        if written.timestamp_type == _LOG_APPEND_TIME:
            self._clock.acked(sent, self._clock.running(), written.timestamp / 1000)
        if self._losing:
            self._losing = False
            log.info("metric samples are published again")
