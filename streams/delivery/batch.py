"""Messages to one partition, on their way as the bytes that travel, and the records that an ack of them finishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka.structs import TopicPartition

from schemas import limits
from streams.kafka.record_batch import Headers, RecordBatch
from streams.pipeline import Source

_ALONE_BYTES: Final = 1
"""Size of a batch that takes one message, whatever its size, and no other."""


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
    on_undeliverable: Callable[[str], None] | None = None
    """Called with the reason when the topic is given up; only for topics that are a caller's own. Whoever is called sees to the
    receipt."""


class Batch:
    """Messages to one partition that leave together."""

    __slots__ = ("_batch", "_on_refused", "_on_undeliverable", "attempts", "records", "to")

    def __init__(self, to: TopicPartition, first: Message, most_bytes: int, attempts: int = 0) -> None:
        """With one message in it. What is larger than our topics take travels compressed, as it must have come: the broker
        counts the bytes that it is sent.
        """
        self.to = to
        self.attempts = attempts
        self.records = Records()
        self._on_refused: dict[int, Callable[[], None]] = {}
        self._on_undeliverable: dict[int, Callable[[str], None]] = {}
        compressed = len(first.value or b"") > limits.ANSWER_PAYLOAD_BYTES
        self._batch = RecordBatch(_ALONE_BYTES if compressed else most_bytes, compressed=compressed)
        self.append(first)

    @classmethod
    def alone(cls, to: TopicPartition, message: Message, attempts: int) -> Batch:
        """Of one message and never another."""
        return cls(to, message, _ALONE_BYTES, attempts)

    def append(self, message: Message) -> bool:
        """Whether there was room; the first message always finds some."""
        count = self.records.count
        if not self._batch.append(message.key, message.value, message.headers):
            return False
        if message.on_refused is not None:
            self._on_refused[count] = message.on_refused
        if message.on_undeliverable is not None:
            self._on_undeliverable[count] = message.on_undeliverable
        self.records.add(message.receipt, message.index)
        return True

    def __len__(self) -> int:
        return self.records.count

    @property
    def live(self) -> bool:
        """Whether somebody still waits for one of its messages."""
        return any(receipt.live for receipt in self.records.receipts())

    @property
    def of_a_caller(self) -> bool:
        """Whether its topic is a caller's own, and may be given up."""
        return len(self._on_undeliverable) == self.records.count

    def give_up(self, reason: str) -> None:
        """Tell who posted its messages that they are sent no more."""
        for on_undeliverable in self._on_undeliverable.values():
            on_undeliverable(reason)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._batch.size

    def written(self) -> bytes:
        """What travels; nothing can be added any more."""
        return self._batch.written()

    def messages(self) -> Iterator[Message]:
        """What is in it, read back."""
        read = zip(self._batch.records(), self.records, strict=True)
        for position, (message, (receipt, index)) in enumerate(read):
            yield Message(
                message.key,
                message.value,
                message.headers,
                receipt,
                index,
                self._on_refused.get(position),
                self._on_undeliverable.get(position),
            )


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
