"""An ack finishes the records of its batch: each of them, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.outbox import Message, finish


@dataclass
class Receipt:
    """Notes the ranges it is told."""

    live: bool = True
    told: list[tuple[int, int]] = field(default_factory=list)

    def finish(self, start: int, stop: int | None = None) -> None:
        self.told.append((start, start + 1 if stop is None else stop))

    def stuck(self, is_stuck: bool) -> None: ...

    def indexes(self) -> list[int]:
        return [index for start, stop in self.told for index in range(start, stop)]


def message(receipt: Receipt, index: int) -> Message:
    return Message(None, b"", [], receipt, index)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1))
def test_whatever_the_order_each_message_finishes_its_record_once(wanted: list[tuple[int, int]]) -> None:
    receipts = [Receipt() for _ in range(3)]
    finish([message(receipts[which], index) for which, index in wanted])
    for which, receipt in enumerate(receipts):
        assert receipt.indexes() == [index for each, index in wanted if each == which]


def test_records_that_follow_each_other_are_finished_in_one_go() -> None:
    receipt, other = Receipt(), Receipt()
    finish([message(receipt, 4), message(receipt, 5), message(other, 6), message(receipt, 6), message(receipt, 8)])
    assert (receipt.told, other.told) == ([(4, 6), (6, 7), (8, 9)], [(6, 7)])
