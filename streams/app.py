"""The Faust apps, each with one agent, which takes record lists: a worker's for requests, the control process' for samples.

Every Faust setting that we rely on is set here, whatever its default.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from faust.tables import TableManager

from streams.heartbeat import Heartbeat
from streams.settings import Settings
from streams.transport.driver import RecordListSchema, RecordListTransport
from streams.transport.flow import Quota
from streams.transport.offsets import RecordList
from streams.transport.options import TransportOptions
from topics.partitioner import contract_partitioner

_BUDGET_PART = 32
"""A partition's quota of bytes is at most this part of the memory budget. All classes together then hold 3/16 of it as it came,
and several times that as objects and on the way out."""

_PARTITIONS_A_CLASS = 2
"""A class may fill so many partitions' quotas before all of its partitions are paused."""

Accept = Callable[[Sequence[RecordList]], None]


class WorkerApp(faust.App):  # type: ignore[misc]
    """A Faust app that keeps nothing on disk."""

    def _create_directories(self) -> None:
        """Faust's data directory is for its tables, and there are none."""


class NoTables(TableManager):  # type: ignore[misc]
    """Faust's tables, of which there are none: it would wait a second for some to be registered, at each start of a process."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


def build_app(settings: Settings, producer: AIOKafkaProducer, accept: Accept, options: TransportOptions) -> WorkerApp:
    """A worker's app, not started. `accept` is given all record lists, a few at once; it returns at once and raises nothing."""
    return _record_list_app(settings, options, producer, accept)


def build_samples_app(settings: Settings, group_id: str, producer: AIOKafkaProducer, accept: Accept) -> WorkerApp:
    """The app that reads `metrics.samples`, not started; in a group of its own, which no rebalance of workers stops.

    Its records are finished when their window is published. All of an open window wait for that, so that a quota that pauses
    the partition would stop it for ever: what bounds them is the window itself (streams/windows/windows.py).
    """
    options = transport_options(settings, budget_bytes=0)
    unlimited = Quota(2**62, 2**62)
    options = replace(
        options,
        topics=[settings.topics.names.metric_samples],
        class_of={},
        consumer={**options.consumer, "group_id": group_id},
        partition_quota=unlimited,
        class_quota=unlimited,
    )
    return _record_list_app(settings, options, producer, accept)


def _record_list_app(
    settings: Settings, options: TransportOptions, producer: AIOKafkaProducer, accept: Accept
) -> WorkerApp:
    kafka = settings.kafka
    app = WorkerApp(
        options.consumer["group_id"],
        broker="kafka://",
        store="memory://",
        TableManager=NoTables,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=4096,  # record lists; the transport's quotas are reached long before
        broker_request_timeout=kafka.request_timeout,
        broker_session_timeout=kafka.session_timeout,
        broker_heartbeat_interval=kafka.heartbeat_interval,
        broker_rebalance_timeout=kafka.rebalance_timeout,
        broker_commit_interval=kafka.commit_interval,
    )
    app.transport = app.producer_transport = RecordListTransport(app, options, producer)
    records = app.topic(*options.topics, acks=False, schema=RecordListSchema())

    @app.agent(records, name="records")  # type: ignore[untyped-decorator]
    async def take(stream: Any) -> None:
        handed_out: AsyncIterator[Sequence[RecordList]] = stream.noack()
        async for lists in handed_out:
            try:
                accept(lists)
            except Exception as error:  # Faust would go on without them: they would never be finished, nor repeated
                await app.crash(error)

    return app


async def unless_refused(app: WorkerApp, waited_for: Coroutine[Any, Any, Any]) -> None:
    """Wait for the app's start, or for its partitions. Raises GroupRefusedError where its group takes this process not at all."""
    work = asyncio.create_task(waited_for)
    refused = asyncio.create_task(app.consumer.wait_refused())
    try:
        await asyncio.wait([work, refused], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        else:
            raise refused.result()
    finally:
        for task in (work, refused):
            task.cancel()
        await asyncio.gather(work, refused, return_exceptions=True)


def transport_options(settings: Settings, budget_bytes: int) -> TransportOptions:
    """The transport's options, as the settings say and the worker's memory budget allows. For one app only."""
    kafka, pressure = settings.kafka, settings.backpressure
    most_bytes = min(pressure.partition_bytes, budget_bytes // _BUDGET_PART)
    partition = Quota(pressure.partition_records, most_bytes, pressure.resume_share)
    names = settings.topics.names
    request_topics = [
        topic for wanted in settings.queueing.priority for topic in names.requests if names.priority_of[topic] == wanted
    ]
    return TransportOptions(
        topics=request_topics,
        class_of={topic: names.topic_of[names.priority_of[topic]] for topic in request_topics},
        consumer={
            **kafka.client_options(),
            "group_id": kafka.group_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "session_timeout_ms": round(kafka.session_timeout * 1000),
            "heartbeat_interval_ms": round(kafka.heartbeat_interval * 1000),
            "rebalance_timeout_ms": round(kafka.rebalance_timeout * 1000),
            "max_poll_interval_ms": round(kafka.max_poll_interval * 1000),
            "fetch_max_wait_ms": round(kafka.fetch_max_wait * 1000),
            "fetch_max_bytes": kafka.fetch_max_bytes,
            "max_partition_fetch_bytes": kafka.partition_fetch_bytes,
        },
        partition_quota=partition,
        heartbeat=Heartbeat(kafka.session_timeout),
        class_quota=Quota(
            partition.records * _PARTITIONS_A_CLASS, partition.bytes * _PARTITIONS_A_CLASS, partition.resume_share
        ),
        commit_interval_s=kafka.commit_interval,
        most_unpacked_bytes=kafka.max_unpacked_bytes,
        corrupt_batches_aside=kafka.corrupt_batches == "set_aside",
        fetches_plainly=kafka.fetch == "plain",
        commit_delay_after_call_s=kafka.commit_delay_after_call / 2,  # the other half is for the commit itself
    )


def producer_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of the worker's AIOKafkaProducer."""
    kafka = settings.kafka
    return {
        **kafka.client_options(),
        "acks": "all",
        "linger_ms": round(kafka.linger * 1000),
        "max_batch_size": kafka.max_batch_bytes,
        "max_request_size": kafka.max_request_bytes,
        "partitioner": contract_partitioner,
    }
