"""The offset tracker against an obvious model: a set of finished offsets and a walk over the delivered ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.transport import commit_metadata
from streams.transport.offsets import PartitionOffsets, Position, RecordList


@dataclass
class FakeRecord:
    offset: int
    value: bytes | None = b"12345"
    topic: str = "t"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list)


class Listener:
    def __init__(self) -> None:
        self.finished: list[int] = []

    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None:
        self.finished.append(count)

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None: ...


def records(*offsets: int) -> list[FakeRecord]:
    return [FakeRecord(offset) for offset in offsets]


def tracker(next_offset: int | None = 5, metadata: str = "") -> PartitionOffsets:
    return PartitionOffsets(("t", 0), Position(next_offset, metadata), Listener())


def deliver(offsets: PartitionOffsets, *delivered: int, end: int | None = None) -> RecordList:
    made = offsets.deliver(records(*delivered), delivered[-1] + 1 if end is None else end)
    assert made is not None
    made.start()
    return made


def test_nothing_is_committed_before_anything_is_known() -> None:
    assert tracker(None).snapshot() == Position(None)


def test_the_prefix_runs_over_delivered_offsets_and_not_over_integers() -> None:
    offsets = tracker()
    made = deliver(offsets, 5, 6, 9)
    made.finish(0, 2)
    assert offsets.snapshot().next_offset == 9
    made.finish(2)
    assert offsets.snapshot().next_offset == 10


def test_a_finished_offset_behind_a_gap_is_not_committed_but_travels_in_the_metadata() -> None:
    offsets = tracker()
    deliver(offsets, 5, 6, 7).finish(1)
    committed = offsets.snapshot()
    assert committed.next_offset == 5
    assert commit_metadata.decode(5, committed.metadata) == [(6, 7)]


def test_a_commit_moves_past_markers_at_the_end_of_a_fetch() -> None:
    offsets = tracker()
    deliver(offsets, 5, 6, end=9).finish(0, 2)
    assert offsets.snapshot().next_offset == 9
    offsets.deliver([], 12)
    assert offsets.snapshot().next_offset == 12


def test_the_next_owner_is_not_given_what_was_finished() -> None:
    before = tracker()
    deliver(before, 5, 6, 7, 8).finish(1, 3)
    after = PartitionOffsets(("t", 0), before.snapshot(), Listener())
    made = after.deliver(records(5, 6, 7, 8), 9)
    assert made is not None
    assert [record.offset for record in made.start()] == [5, 8]
    assert after.skipped == 2


def test_lists_that_were_not_started_are_taken_back_and_refuse_to_start() -> None:
    offsets = tracker()
    started = deliver(offsets, 5, 6)
    waiting = offsets.deliver(records(7, 8), 9)
    assert waiting is not None
    offsets.take_back()
    assert (offsets.position, offsets.unfinished, list(waiting.start())) == (7, 2, [])
    started.finish(0, 2)
    assert offsets.snapshot().next_offset == 7


def test_finishing_twice_counts_once() -> None:
    listener = Listener()
    offsets = PartitionOffsets(("t", 0), Position(0), listener)
    made = deliver(offsets, 0, 1, 2)
    made.finish(0)
    made.finish(0, 3)
    made.finish(1)
    assert (listener.finished, offsets.unfinished, offsets.unfinished_bytes) == ([1, 2], 0, 0.0)


def test_a_partition_that_moved_away_counts_no_more() -> None:
    offsets = tracker()
    made = deliver(offsets, 5)
    offsets.live = False
    made.finish(0)
    assert offsets.unfinished == 1
    assert not made.live


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 6), min_size=1, max_size=80))
def test_any_order_of_finishing_agrees_with_the_model_over_two_lives(chance: Random, steps: list[int]) -> None:
    everything = [100 + sum(steps[: index + 1]) for index in range(len(steps))]

    def live(offsets: PartitionOffsets, log: list[int]) -> set[int]:
        """Deliver the log in random pieces, finish at random; check every snapshot against the walk."""
        done: set[int] = set()
        open_records: list[tuple[RecordList, int, int]] = []
        while log or open_records:
            if log and chance.random() < 0.5:
                count = chance.randint(1, len(log))
                piece, log = log[:count], log[count:]
                made = offsets.deliver(records(*piece), piece[-1] + 1)
                if made is not None:
                    open_records += [(made, index, record.offset) for index, record in enumerate(made.start())]
            elif open_records:
                made, index, offset = open_records.pop(chance.randrange(len(open_records)))
                made.finish(index)
                done.add(offset)
                if chance.random() < 0.1:
                    return done
            check_against_walk(offsets.snapshot(), done)
        return done

    finished_before: set[int] = set()

    def check_against_walk(position: Position, done: set[int]) -> None:
        all_done = done | finished_before
        assert position.next_offset is not None
        assert all(offset in all_done for offset in everything if offset < position.next_offset)
        said = {
            offset
            for start, stop in commit_metadata.decode(position.next_offset, position.metadata)
            for offset in everything
            if start <= offset < stop
        }
        assert said == {offset for offset in all_done if offset >= position.next_offset}

    first = tracker(100)
    finished_before |= live(first, list(everything))
    committed = first.snapshot()
    assert committed.next_offset is not None
    second = PartitionOffsets(("t", 0), committed, Listener())
    again = live(second, [offset for offset in everything if offset >= committed.next_offset])
    assert not again & finished_before


@given(st.integers(0, 1 << 40), st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=200))
def test_metadata_says_what_was_encoded(base: int, lengths: list[tuple[int, int]]) -> None:
    runs, at = [], base
    for unfinished, finished in lengths:
        runs.append((at + unfinished, at + unfinished + finished))
        at += unfinished + finished
    text, whole = commit_metadata.encode(base, runs)
    assert whole
    assert commit_metadata.decode(base, text) == runs


@given(st.text(max_size=100))
def test_foreign_metadata_is_ignored(text: str) -> None:
    for start, stop in commit_metadata.decode(7, text):
        assert 7 <= start <= stop


def test_metadata_that_does_not_fit_is_cut_and_says_so() -> None:
    chance = Random(1)
    runs = [(offset, offset + chance.randint(1, 6)) for offset in range(0, 60_000, 7)]
    text, whole = commit_metadata.encode(0, runs, limit_chars=500)
    assert not whole
    assert len(text) <= 500
    kept = commit_metadata.decode(0, text)
    assert kept == runs[: len(kept)]
    assert len(kept) > 50
