"""Which log an offset is of: leader epochs against a model of logs that are cut and grow."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.log_epochs import EndsOfEpochs, Extent, LogEpochs, ends_of, extent

P = ("t", 0)


def batch(base: int, count: int, epoch: int) -> bytes:
    """The head of a batch of format 2, and some bytes for its records."""
    body = struct.pack(">ibihi", epoch, 2, 0, 0, count - 1) + bytes(40)
    return struct.pack(">qi", base, len(body)) + body


def test_the_extent_of_fetched_bytes_is_that_of_their_whole_batches() -> None:
    fetched = batch(10, 5, 3) + batch(15, 2, 4)
    assert extent(fetched) == Extent(3, 4, 17)
    assert extent(fetched[:-1]) == Extent(3, 3, 15)
    assert extent(b"") is None
    assert extent(fetched[:20]) is None


class Log:
    """A partition's log: records with the epoch of the leader that took them."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int]] = []
        """Epoch, and a number of its own."""
        self.epoch = 0
        self.made = 0

    def append(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.records.append((self.epoch, self.made))

    def cut(self, end: int) -> None:
        """An unclean election: another leader, and what it lacked is gone."""
        del self.records[end:]
        self.epoch += 1

    def end_of(self, epoch: int) -> tuple[int, int]:
        """As LeaderEpochFileCache.endOffsetFor: the largest epoch up to that one, and where it ends."""
        if epoch > self.epoch:
            return -1, -1
        upto = [index for index, (each, _) in enumerate(self.records) if each <= epoch]
        return (self.records[upto[-1]][0] if upto else epoch), (upto[-1] + 1 if upto else 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 9)),
            st.tuples(st.just("cut"), st.integers(0, 30)),
            st.tuples(st.just("fetch"), st.integers(1, 9)),
            st.tuples(st.just("reconnect"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_no_record_of_a_log_that_was_cut_and_grew_again_is_passed_by(steps: list[tuple[str, int]]) -> None:
    """tulios/kafkajs#818 and thomhurst/Dekaf#2258 in kind: the log is beyond our position again when we look."""
    log, epochs = Log(), LogEpochs()
    read: list[tuple[int, int]] = []  # what was read and not cut since, by offset

    def fetch(most: int) -> None:
        while epochs.unsure([P]):
            epoch, end = log.end_of(epochs.epoch(P))
            if (cut := epochs.told(P, epoch, end)) is not None:
                del read[cut:]
        position = len(read)
        if position > len(log.records):  # OFFSET_OUT_OF_RANGE
            epochs.doubt([P])
            return
        found = log.records[position : position + most]
        if found and epochs.take(P, Extent(found[0][0], found[-1][0], position + len(found))):
            read.extend(found)

    for step, number in steps:
        if step == "append":
            log.append(number)
        elif step == "cut":
            log.cut(min(number, len(log.records)))
        elif step == "reconnect":
            epochs.doubt([P])
        else:
            fetch(number)
    # Where it ends at our position or before, the connection to its leader that broke is what tells (`doubt`).
    log.append(max(1, len(read) + 1 - len(log.records)))
    for _ in range(3 * len(log.records) + 10):
        fetch(5)
    assert read == log.records


def test_what_is_not_known_is_neither_asked_nor_doubted() -> None:
    epochs = LogEpochs()
    epochs.begin(P, 5, -1)
    epochs.doubt([P])
    assert epochs.unsure([P]) == {}
    assert epochs.take(P, Extent(7, 7, 9))
    assert epochs.epoch(P) == 7


def test_a_committed_position_is_checked_before_anything_is_fetched() -> None:
    epochs = LogEpochs()
    epochs.begin(P, 50, 4)
    assert epochs.unsure([P, ("t", 1)]) == {P: 4}
    assert epochs.told(P, 3, 20) == 20
    assert epochs.epoch(P) == 3


@pytest.mark.parametrize("end", [-1, 50, 51], ids=["KIP-320: undefined", "as far as was read", "longer"])
def test_a_log_that_is_long_enough_was_not_cut(end: int) -> None:
    epochs = LogEpochs()
    epochs.begin(P, 50, 4)
    assert epochs.told(P, 4, end) is None


def test_the_request_goes_there_and_back() -> None:
    made = EndsOfEpochs({P: 4, ("u", 2): 0}).prepare({23: (2, 4)})
    assert type(made).decode(made.encode()).topics == [("t", [(0, -1, 4)]), ("u", [(2, -1, 0)])]
    answer = made.RESPONSE_TYPE(throttle_time_ms=0, topics=[("t", [(0, 0, 4, 17)])])
    assert ends_of(type(answer).decode(answer.encode())) == [(P, 0, 4, 17)]
