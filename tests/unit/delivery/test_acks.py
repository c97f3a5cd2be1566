"""An ack finishes the records of its batch: each of them, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.batch import Records


@dataclass(eq=False)
class Receipt:
    """Notes the ranges it is told."""

    live: bool = True
    told: list[tuple[int, int]] = field(default_factory=list)

    def finish(self, start: int, stop: int | None = None) -> None:
        self.told.append((start, start + 1 if stop is None else stop))

    def stuck(self, is_stuck: bool) -> None: ...

    def indexes(self) -> list[int]:
        return [index for start, stop in self.told for index in range(start, stop)]


def records_of(wanted: list[tuple[Receipt, int]]) -> Records:
    made = Records()
    for receipt, index in wanted:
        made.add(receipt, index)
    return made


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=0))
def test_whatever_the_order_each_message_finishes_its_record_once(wanted: list[tuple[int, int]]) -> None:
    receipts = [Receipt() for _ in range(3)]
    records = records_of([(receipts[which], index) for which, index in wanted])
    assert records.count == len(wanted)
    assert list(records) == [(receipts[which], index) for which, index in wanted]
    records.finish()
    for which, receipt in enumerate(receipts):
        assert receipt.indexes() == [index for each, index in wanted if each == which]


def test_records_that_follow_each_other_are_finished_in_one_go() -> None:
    receipt, other = Receipt(), Receipt()
    records = records_of([(receipt, 4), (receipt, 5), (other, 6), (receipt, 6), (receipt, 8)])
    records.finish()
    assert records.receipts() == [receipt, other]
    assert (receipt.told, other.told) == ([(4, 6), (6, 7), (8, 9)], [(6, 7)])
