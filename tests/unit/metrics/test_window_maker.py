"""Records of samples are finished when their windows are acked, and not before; a partition that was away begins anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from streams.delivery.batch import Message
from streams.transport.offsets import PartitionOffsets, Position, RecordList
from streams.windows.maker import WindowMaker
from tests.unit.metrics.raw_samples import GRACE_MS, PERIOD, Raw, closer

SAMPLES = ("metrics.samples", 0)


@dataclass
class Posted:
    """An outbox that keeps what it is given; a test acks it."""

    messages: list[Message] = field(default_factory=list)

    def post(self, to: TopicPartition, message: Message) -> None:
        assert to == ("metrics.windows", 0)
        self.messages.append(message)

    def ack(self) -> None:
        for message in self.messages:
            message.receipt.finish(message.index)
        self.messages.clear()


class Listener:
    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None: ...

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None: ...


def partition(committed: int = 0) -> PartitionOffsets:
    return PartitionOffsets(SAMPLES, Position(committed), Listener())


def record(offset: int, value: bytes | None, stamped_ms: int = 10**12) -> Any:
    return SimpleNamespace(
        topic=SAMPLES[0], partition=0, offset=offset, timestamp=stamped_ms, key=b"w", value=value, headers=()
    )


def deliver(offsets: PartitionOffsets, *values: bytes | None) -> RecordList:
    first = offsets.position or 0
    made = offsets.deliver([record(first + n, value) for n, value in enumerate(values)], first + len(values))
    assert made is not None
    return made


def made_by(outbox: Posted) -> WindowMaker:
    return WindowMaker(outbox, PERIOD, GRACE_MS, "metrics.windows")  # type: ignore[arg-type]


A = Raw("a", 60_000, {}, 1).sample().to_json()
B = Raw("b", 50_000, {}, 1).sample().to_json()
CLOSES = closer(70_000).to_json()


def test_a_commit_stays_before_an_open_window_until_its_windows_are_acked() -> None:
    outbox, offsets = Posted(), partition()
    maker = made_by(outbox)
    maker.accept([deliver(offsets, A, B)])
    assert offsets.snapshot().next_offset == 0
    maker.accept([deliver(offsets, CLOSES)])
    assert [message.key for message in outbox.messages] == [b"a", b"b", b"fleet"]
    assert offsets.snapshot().next_offset == 0
    outbox.ack()
    assert offsets.snapshot().next_offset == 2  # what closed the window is of the next one


def test_what_is_no_sample_is_finished_at_once_and_breaks_nothing() -> None:
    outbox, offsets = Posted(), partition()
    wild = A.replace(b'"interval_s":10.0', b'"interval_s":1e308')
    first_day = b'{"kind":"backlog","at":"0001-01-01T00:00:00Z","partitions":1,"lag":{},"oldest_s":0}'
    last_day = first_day.replace(b"0001-01-01", b"9999-12-31")
    made_by(outbox).accept([deliver(offsets, None, b"", b"[]", b"{}", b"\xff", wild, first_day, last_day)])
    assert offsets.snapshot().next_offset == 8
    assert not outbox.messages


def test_a_maker_whose_partition_was_anothers_meanwhile_begins_anew() -> None:
    outbox, lost, gained = Posted(), partition(), partition()
    maker = made_by(outbox)
    maker.accept([deliver(lost, A)])
    lost.live = False
    maker.accept([deliver(gained, B, CLOSES)])
    assert [message.key for message in outbox.messages] == [b"b", b"fleet"]
    outbox.ack()
    assert gained.snapshot().next_offset == 1


def test_two_makers_of_the_same_samples_publish_the_same_records() -> None:
    one, other = Posted(), Posted()
    made_by(one).accept([deliver(partition(), A, B, CLOSES)])
    made_by(other).accept([deliver(partition(), B, A, A, CLOSES)])
    assert [(m.key, m.value, m.headers) for m in one.messages] == [(m.key, m.value, m.headers) for m in other.messages]
