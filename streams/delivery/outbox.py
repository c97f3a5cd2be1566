"""Answers on their way to the broker: batched by themselves, acked before a record is finished, sent until they are taken.

One open batch for each topic and partition. What is posted in one turn of the event loop leaves together; while a batch of a
partition is under way, what comes for it collects in the next one. So a burst of hits travels in large batches, and a single
answer does not wait for company.

A batch that the broker does not take is sent again, for as long as this worker owns the records: nothing is finished without
an ack, and nothing overtakes it. The partitions whose answers are stuck are held meanwhile, so that they bring no more.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from schemas import limits
from streams.metrics import definitions as metrics
from streams.pipeline import Source

log = structlog.get_logger("headrace.delivery")

_ALONE_BYTES = 1
"""Size of a batch that takes one message, whatever its size, and no other."""

_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0


Headers = Sequence[tuple[str, bytes | None]]


@dataclass(slots=True, eq=False)
class Message:
    """One message and who is told when it has arrived."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    receipt: Source
    index: int
    on_refused: Callable[[], None] | None = None
    """Called when the broker calls the message too large for its topic; without it, it is sent until somebody mends that."""


class _Batch:
    """Messages to one partition. They are kept once, as the bytes that travel: a burst has thousands of them under way, and
    the cost of a record grew by a third when each was kept as objects too.
    """

    def __init__(self, to: TopicPartition, builder: Any, attempts: int = 0) -> None:
        self.to = to
        self.builder = builder
        self.attempts = attempts
        self.records = Records()
        self._on_refused: dict[int, Callable[[], None]] = {}

    def append(self, message: Message) -> bool:
        """Whether there was room; the first message always finds some."""
        if self.builder.append(timestamp=None, key=message.key, value=message.value, headers=message.headers) is None:
            return False
        if message.on_refused is not None:
            self._on_refused[self.records.count] = message.on_refused
        self.records.add(message.receipt, message.index)
        return True

    def __len__(self) -> int:
        return self.records.count

    @property
    def live(self) -> bool:
        """Whether somebody still waits for one of its messages."""
        return any(receipt.live for receipt in self.records.receipts())

    def messages(self) -> Iterator[Message]:
        """What is in it, read back."""
        written = MemoryRecords(bytes(self.builder._build())).next_batch()
        for position, (message, (receipt, index)) in enumerate(zip(written, self.records, strict=True)):
            yield Message(message.key, message.value, message.headers, receipt, index, self._on_refused.get(position))


class Records:
    """Records of the pipeline, as (receipt, index): those that follow each other in their list are kept as one range."""

    __slots__ = ("_ranges", "_receipt", "_start", "_stop", "count")

    def __init__(self) -> None:
        self.count = 0
        self._ranges: list[tuple[Source, int, int]] = []
        self._receipt: Source | None = None  # the range that still grows
        self._start = self._stop = 0

    def add(self, receipt: Source, index: int) -> None:
        self.count += 1
        if index == self._stop and receipt is self._receipt:
            self._stop += 1
            return
        if self._receipt is not None:
            self._ranges.append((self._receipt, self._start, self._stop))
        self._receipt, self._start, self._stop = receipt, index, index + 1

    def ranges(self) -> Sequence[tuple[Source, int, int]]:
        """Receipt, first index, and the one behind the last."""
        if self._receipt is None:
            return ()
        return [*self._ranges, (self._receipt, self._start, self._stop)]

    def __iter__(self) -> Iterator[tuple[Source, int]]:
        for receipt, start, stop in self.ranges():
            for index in range(start, stop):
                yield receipt, index

    def receipts(self) -> Sequence[Source]:
        """Each once."""
        return list({id(receipt): receipt for receipt, _, _ in self.ranges()}.values())

    def finish(self) -> None:
        for receipt, start, stop in self.ranges():
            receipt.finish(start, stop)


@dataclass(slots=True)
class _Lane:
    """One partition's batches. One is under way at most; of those that wait the last one is open."""

    topic: str
    waiting: deque[_Batch] = field(default_factory=deque)
    busy: bool = False
    """Whether a batch is under way, or the next one is about to be."""


class Outbox:
    """Sends messages to partitions and tells their receipts."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, to: TopicPartition, message: Message) -> None:
        """Send one message; its receipt is finished once the broker has acked it."""
        lane = self._lanes.get(to)
        if lane is None:
            lane = self._lanes[to] = _Lane(to.topic)
        if not lane.waiting or not lane.waiting[-1].append(message):
            lane.waiting.append(self._new_batch(to, message))
        if not lane.busy:
            self._go_on(lane)

    def _new_batch(self, to: TopicPartition, message: Message, attempts: int = 0) -> _Batch:
        """A batch with one message in it. What is larger than our topics take travels compressed, as it must have come:
        the broker counts the bytes that it is sent.
        """
        large = len(message.value or b"") > limits.ANSWER_PAYLOAD_BYTES
        builder = BatchBuilder(_ALONE_BYTES, DefaultRecordBatch.CODEC_GZIP) if large else self._producer.create_batch()
        batch = _Batch(to, builder, attempts)
        batch.append(message)
        return batch

    def _go_on(self, lane: _Lane) -> None:
        """The lane's next batch, if there is one: nothing of it is under way."""
        lane.busy = bool(lane.waiting)
        if lane.busy:
            self._ready.append(lane)
            if self._sender is None:
                self._sender = self._spawn(self._send_ready())

    async def _send_ready(self) -> None:
        """Hand the producer a batch of each lane that is ready. One task for all of them: at 1,000 answers/s there are 800
        batches a second, and a task costs more than what it does here.
        """
        known = self._producer.client.cluster.partitions_for_topic
        try:
            while self._ready:
                lane = self._ready.popleft()
                sending = self._send(lane, lane.waiting.popleft())
                if known(lane.topic):
                    await sending
                else:  # waits for the topic
                    self._spawn(sending)
        finally:
            self._sender = None

    async def _send(self, lane: _Lane, batch: _Batch) -> None:
        """Returns when the producer has taken the batch, not when it is acked."""
        batch.builder.close()
        batch.attempts += 1
        try:
            acked = await self._producer.send_batch(batch.builder, batch.to.topic, partition=batch.to.partition)
        except (
            Exception
        ) as error:  # aiokafka asserts too, where a topic has vanished: whatever it is, nothing was acked
            self._on_failure(lane, batch, error)
        else:
            acked.add_done_callback(lambda done: self._on_ack(lane, batch, done))

    def _on_ack(self, lane: _Lane, batch: _Batch, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return  # the worker stops: the next owner repeats
        error = done.exception()
        if error is not None:
            self._on_failure(lane, batch, error)
            return
        if batch.attempts > 1:
            self._mark(batch, stuck=False)
        self._go_on(lane)
        batch.records.finish()

    def _on_failure(self, lane: _Lane, batch: _Batch, error: BaseException) -> None:
        if isinstance(error, MessageSizeTooLargeError):
            if len(batch) > 1:  # the topic takes less than our batches hold: each by itself
                lane.waiting.extendleft(reversed([self._alone(batch, message) for message in batch.messages()]))
                self._go_on(lane)
                return
            if (on_refused := next(batch.messages()).on_refused) is not None:
                self._mark(batch, stuck=False)
                on_refused()
                self._go_on(lane)
                return
        metrics.SEND_FAILURES.inc()
        log.error(
            "the broker does not take answers, sending them again: check the topic and the broker",
            topic=batch.to.topic,
            partition=batch.to.partition,
            records=len(batch),
            attempts=batch.attempts,
            error=repr(error),
        )
        self._mark(batch, stuck=True)
        self._spawn(self._send_again(lane, batch))

    def _alone(self, batch: _Batch, message: Message) -> _Batch:
        alone = self._new_batch(batch.to, message, batch.attempts)
        alone.builder.close()
        return alone

    async def _send_again(self, lane: _Lane, batch: _Batch) -> None:
        pause_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** min(batch.attempts, 10))
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
        if batch.live:
            await self._send(lane, batch)
        else:
            lane.waiting = deque(waiting for waiting in lane.waiting if waiting.live)
            self._go_on(lane)

    def _mark(self, batch: _Batch, *, stuck: bool) -> None:
        for receipt in batch.records.receipts():
            receipt.stuck(stuck)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Give up what is not acked; its records stay unfinished."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
