"""`metrics.samples` in, `metrics.windows` out: the aggregator as a consumer of record lists.

A sample's record is finished when the windows that it is in are acked by the broker. What is not finished comes again after a
restart, and the same windows are made of it: at worst they are published twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from schemas.metric_sample import parse_metric_sample
from schemas.metric_window import MetricWindow
from streams.delivery.batch import Message
from streams.delivery.outbox import Outbox
from streams.kafka.records import Record
from streams.metrics import definitions as metrics
from streams.metrics.period import Period
from streams.transport.offsets import RecordList
from streams.windows.windows import Closed, Windows
from topics.headers import message_headers

log = structlog.get_logger("headrace.windows")

_SOURCE = "/headrace/windows"
"""`ce_source` of every window: whichever process made it, a window that is published twice is one event."""
_Receipt = tuple[RecordList, int]


class WindowMaker:
    """Makes windows of the samples that it is given, and publishes them on `topic` through `outbox`."""

    def __init__(self, outbox: Outbox, period: Period, grace_ms: int, topic: str) -> None:
        self._outbox = outbox
        self._to = TopicPartition(topic, 0)
        self._period = period
        self._grace_ms = grace_ms
        self._windows: Windows[_Receipt] = Windows(period, grace_ms)
        self._list: RecordList | None = None

    def accept(self, lists: Sequence[RecordList]) -> None:
        """Take over the records of these lists. Raises nothing, whatever they hold."""
        for records in lists:
            if self._list is not None and not self._list.live:  # somebody else made windows meanwhile: all comes again
                self._windows = Windows(self._period, self._grace_ms)
            self._list = records
            for index, record in enumerate(records.start()):
                self._take(record, (records, index))

    def _take(self, record: Record, receipt: _Receipt) -> None:
        try:
            sample = parse_metric_sample(record.value or b"")
        except ValidationError as error:
            log.warning(
                "a record on the samples' topic is none", offset=record.offset, error=str(error.errors()[0]["msg"])
            )
            metrics.SAMPLES_DROPPED.labels("unreadable").inc()
            self._finish([receipt])
            return
        before = dict(self._windows.dropped)
        for closed in self._windows.add(sample, receipt, record.timestamp):
            self._publish(closed)
        for why, count in self._windows.dropped.items():
            metrics.SAMPLES_DROPPED.labels(why).inc(count - before[why])

    def _publish(self, closed: Closed[_Receipt]) -> None:
        if not closed.windows:
            self._finish(closed.receipts)
            return
        receipt = _WindowsReceipt(closed.receipts, len(closed.windows), self._finish)
        for window in closed.windows:
            self._outbox.post(
                self._to, Message(window.scope.encode(), window.to_json(), self._headers(window), receipt, 0)
            )
            metrics.WINDOWS.inc()

    def _headers(self, window: MetricWindow) -> list[tuple[str, bytes]]:
        event_id = f"{window.scope}-{window.end.timestamp():.0f}"
        return message_headers("metric_window", event_id=event_id, source=_SOURCE, time=window.end)

    def _finish(self, receipts: Sequence[_Receipt]) -> None:
        for records, index in receipts:
            records.finish(index)


class _WindowsReceipt:
    """For the messages of one minute: the last one to be acked finishes the samples' records."""

    __slots__ = ("_finish", "_left", "_receipts")

    def __init__(
        self, receipts: Sequence[_Receipt], messages: int, finish: Callable[[Sequence[_Receipt]], None]
    ) -> None:
        self._receipts = receipts
        self._left = messages
        self._finish = finish

    @property
    def live(self) -> bool:
        return self._receipts[0][0].live

    def finish(self, start: int, stop: int | None = None) -> None:
        self._left -= 1
        if not self._left:
            self._finish(self._receipts)

    def stuck(self, is_stuck: bool) -> None:
        self._receipts[0][0].stuck(is_stuck)
